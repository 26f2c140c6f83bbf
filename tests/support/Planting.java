// A log store that lets a prepared commit win: what lies in `<table>/_winner` is moved into the log before the first
// commit of anybody else. Compiled by record_conflicts.py.

import io.delta.storage.LocalLogStore;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

public class Planting extends LocalLogStore {
    public Planting(Configuration configuration) {
        super(configuration);
    }

    @Override
    public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration configuration)
            throws IOException {
        File log = new File(path.toUri().getPath()).getParentFile();
        File winner = new File(log.getParentFile(), "_winner");
        File[] commits = winner.listFiles();
        if (commits != null && path.getName().endsWith(".json")) {
            Arrays.sort(commits);
            for (File commit : commits) {
                Files.move(commit.toPath(), new File(log, commit.getName()).toPath());
            }
            Files.delete(winner.toPath());
        }
        super.write(path, actions, overwrite, configuration);
    }
}
