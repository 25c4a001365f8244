package io.uwfq.client;

/** A worker process whose handler ends it, as the main program of another time may do. */
final class ExitingWorker {
  static final int EXIT_STATUS = 3;

  private ExitingWorker() {}

  /** Serves the target until its first task. */
  public static void main(String[] args) {
    Handler exit =
        task -> {
          System.exit(EXIT_STATUS);
          return null;
        };
    Worker.builder(args[0]).slots(1).handler("exit", exit).build().run();
  }
}
