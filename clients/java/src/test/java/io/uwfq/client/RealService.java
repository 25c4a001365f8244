package io.uwfq.client;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;

/** The UWFQ service as a process of its own; {@code -Duwfq.command} says how it is called. */
final class RealService implements AutoCloseable {
  private final String command;
  private final Path data;
  private final int port;
  private Process process;

  private RealService(String command, Path data) throws IOException {
    this.command = command;
    this.data = data;
    try (ServerSocket socket = new ServerSocket(0)) {
      this.port = socket.getLocalPort();
    }
  }

  /** Starts it with its journal in a directory; skips the test, loudly, where there is none. */
  static RealService start(Path data, String... options) throws IOException {
    String command = System.getProperty("uwfq.command", "../../.venv/bin/uwfq");
    if (!Files.isExecutable(Path.of(command))) {
      String missing = "no service to test against: " + command + " (run `make setup`)";
      if (inCi()) {
        throw new AssertionError(missing);
      }
      System.err.println("SKIPPED: " + missing);
      Assumptions.abort(missing);
    }
    RealService service = new RealService(command, data);
    service.start(options);
    return service;
  }

  /** Whether CI is set to 1, true or yes, as for all other tests of the repository. */
  private static boolean inCi() {
    String ci = System.getenv().getOrDefault("CI", "").toLowerCase(Locale.ROOT);
    return Set.of("1", "true", "yes").contains(ci);
  }

  String target() {
    return "127.0.0.1:" + port;
  }

  /** Starts it, again if it was killed, on the same port and journal. */
  void start(String... options) throws IOException {
    List<String> call = new ArrayList<>(List.of(command, "serve", "--listen", target()));
    call.addAll(List.of("--data", data.resolve("uwfq").toString()));
    call.addAll(List.of(options));
    process =
        new ProcessBuilder(call)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(data.resolve("log").toFile()))
            .start();
  }

  /** Ends it as a crash would. */
  void kill() {
    process.destroyForcibly().onExit().join();
  }

  @Override
  public void close() {
    kill();
  }
}
