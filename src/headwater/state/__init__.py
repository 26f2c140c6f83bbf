"""The versioned state store of stateful operators."""
