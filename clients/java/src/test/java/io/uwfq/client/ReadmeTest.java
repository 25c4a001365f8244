package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What the README shows is run as it stands there, but for the service's port. */
@Timeout(120)
class ReadmeTest {
  private static final Pattern PROGRAM =
      Pattern.compile("```java\\n(// (\\w+\\.java)\\n.*?)```", Pattern.DOTALL);

  /** What the JVM says when a signal has ended it. */
  private static final int SIGTERM_EXIT = 143;

  @TempDir Path directory;

  @Test
  void itsProgramsRun() throws Exception {
    try (RealService service = RealService.start(directory)) {
      List<Path> programs = programs(service.target());
      assertEquals(
          List.of("SumWorker.java", "Submit.java"),
          programs.stream().map(path -> path.getFileName().toString()).toList());

      Process worker = run(programs.get(0));
      try {
        Process submit = run(programs.get(1));
        String said = output(submit);
        assertEquals(0, submit.waitFor(), said);
        assertTrue(said.matches("(?s).*8 tasks took \\d+\\.\\d\\d slot-seconds\\s*"), said);
      } finally {
        // SIGTERM: it takes leave, then ends. (Process.destroy would close its output, too.)
        worker.toHandle().destroy();
      }
      String said = output(worker);
      assertEquals(SIGTERM_EXIT, worker.waitFor(), said);
      assertEquals(8, said.lines().filter(line -> line.startsWith("alice's task ")).count(), said);
      try (Client client = Client.connect(service.target())) {
        assertEquals(0, client.listPools().getPools(0).getWorkers());
      }
    }
  }

  private List<Path> programs(String target) throws IOException {
    List<Path> programs = new ArrayList<>();
    Matcher block = PROGRAM.matcher(Files.readString(Path.of("README.md")));
    while (block.find()) {
      String source = block.group(1).replace(Endpoint.DEFAULT_TARGET, target);
      programs.add(Files.writeString(directory.resolve(block.group(2)), source));
    }
    return programs;
  }

  private static Process run(Path program) throws IOException {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    return new ProcessBuilder(
            java, "-cp", System.getProperty("java.class.path"), program.toString())
        .redirectErrorStream(true)
        .start();
  }

  private static String output(Process process) throws IOException {
    try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
      return reader.lines().collect(Collectors.joining("\n"));
    }
  }
}
