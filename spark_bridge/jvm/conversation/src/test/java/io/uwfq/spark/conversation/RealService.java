package io.uwfq.spark.conversation;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** The UWFQ service as a process of its own; {@code -Duwfq.command} says how it is called. */
final class RealService implements AutoCloseable {
  private final String command;
  private final int port;
  private Process process;

  RealService(String command) throws IOException {
    this.command = command;
    try (ServerSocket socket = new ServerSocket(0)) {
      this.port = socket.getLocalPort();
    }
  }

  String target() {
    return "127.0.0.1:" + port;
  }

  /** Starts it on a data directory; its log goes to the test's output. */
  void start(Path data) throws IOException {
    process =
        new ProcessBuilder(
                command,
                "serve",
                "--listen",
                target(),
                "--data",
                data.toString(),
                "--log-level",
                "warning")
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
  }

  /** Stops it in the middle of whatever it does; it keeps its connections and answers nothing. */
  void freeze() throws Exception {
    signal("STOP");
  }

  /** Lets it go on. */
  void thaw() throws Exception {
    signal("CONT");
  }

  private void signal(String name) throws Exception {
    new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
  }

  /** CPU that it has taken, itself and its threads. */
  double cpuSeconds() {
    return process.toHandle().info().totalCpuDuration().orElse(Duration.ZERO).toNanos() / 1e9;
  }

  /** Ends it as a crash would. */
  void kill() throws InterruptedException {
    process.destroyForcibly();
    process.waitFor(10, TimeUnit.SECONDS);
  }

  @Override
  public void close() throws InterruptedException {
    if (process != null) {
      kill();
    }
  }
}
