package io.uwfq.client;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Asks the service for tasks, runs a handler for each, and reports how it went.
 *
 * <pre>{@code
 * Worker.builder("127.0.0.1:7170")
 *     .slots(2)
 *     .handler("sum", task -> Measurement.ofRows(sum(task.index())))
 *     .build()
 *     .run();
 * }</pre>
 *
 * <p>{@link #run} is the main program of a worker process: it serves until SIGTERM. {@link #start}
 * and {@link #close} serve in the background of another one. A worker serves once.
 *
 * <p>It outlives outages and restarts of the service: what runs goes on, results are kept until the
 * service has acknowledged them, and a poll whose answer was lost is repeated under its id, so that
 * no lease is lost with it. A handler that throws has failed, see {@link Handler}.
 *
 * <p>Thread-safe; but a handler that stops its own worker must use {@link #requestStop}, as it
 * would wait for itself.
 */
public final class Worker implements AutoCloseable {
  private static final Logger log = System.getLogger("io.uwfq.client");

  /** How often a worker that is waited for looks whether a handler has called System.exit. */
  private static final long EXIT_CHECK_SECONDS = 1;

  private final WorkerOptions options;
  private final Session session;

  /** Guarded by this. */
  private boolean started;

  private Worker(WorkerOptions options) {
    this.options = options;
    this.session = new Session(options);
  }

  /**
   * A worker for the service at an address, without encryption.
   *
   * @param target {@code host:port}
   * @return a builder
   */
  public static Builder builder(String target) {
    return builder(Endpoint.of(target));
  }

  /**
   * A worker for a service, over TLS for example.
   *
   * @param endpoint the service and how to reach it
   * @return a builder
   */
  public static Builder builder(Endpoint endpoint) {
    return new Builder(endpoint);
  }

  /**
   * The name under which the service knows this worker.
   *
   * @return new at each start of a process, unless the builder was given another one
   */
  public String workerId() {
    return options.workerId();
  }

  /**
   * Serves until SIGTERM (or Ctrl-C), or until another thread stops it.
   *
   * <p>On a signal the worker finishes and reports what it holds, at most for the builder's {@code
   * grace}, and only then lets the JVM end. Likewise when anybody calls {@code System.exit}; a
   * handler that does so has failed.
   *
   * @throws UwfqException when no waiting would mend what the service says: there is no such pool,
   *     it is not permitted, it is not UWFQ
   * @throws IllegalStateException if it was started before
   */
  public void run() {
    Thread hook = new Thread(this::close, "uwfq-worker-stop");
    Runtime.getRuntime().addShutdownHook(hook);
    try {
      start();
      session.ended().join();
    } catch (CompletionException failed) {
      throw failed.getCause() instanceof UwfqException refusal
          ? (UwfqException) refusal.fillInStackTrace()
          : failed;
    } finally {
      forget(hook);
    }
  }

  private static void forget(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException alreadyRunning) {
      // The JVM ends, and the hook has brought us here.
    }
  }

  /**
   * Begins to serve, in daemon threads, and returns at once.
   *
   * @return this
   * @throws IllegalStateException if it was started before
   */
  public synchronized Worker start() {
    if (started) {
      throw new IllegalStateException("a worker serves once; build another one");
    }
    started = true;
    session.start();
    return this;
  }

  /**
   * Completes when the worker has ended: after a stop, or with the {@link UwfqException} that no
   * waiting would have mended.
   *
   * @return a future of the caller's own
   */
  public CompletableFuture<Void> ended() {
    return session.ended().copy();
  }

  /**
   * Begins to stop, and returns at once.
   *
   * <p>The worker asks for no more tasks, and finishes and reports what it holds, for at most
   * {@code grace}. What is left then is given up: handlers that run are interrupted, and the
   * service gives their tasks to other workers, as their next attempt; what has not begun goes back
   * as if it had never been here.
   *
   * @param grace {@code Duration.ZERO}: gives up at once; a second call may shorten the first one's
   */
  public void requestStop(Duration grace) {
    session.requestStop(Objects.requireNonNull(grace, "grace"));
  }

  /** Begins to stop with the builder's grace, and returns at once. */
  public void requestStop() {
    session.requestStop(options.grace());
  }

  /**
   * Stops as {@link #requestStop(Duration)} and waits until all is over. Handlers that were
   * interrupted have one second to return.
   *
   * @param grace how long what is held may take
   */
  public void stop(Duration grace) {
    requestStop(grace);
    awaitEnd();
  }

  /** Stops with the builder's grace, and waits until all is over. */
  @Override
  public void close() {
    requestStop();
    awaitEnd();
  }

  /**
   * How it ended is {@link #run}'s to throw, and {@link #ended}'s to tell; it was logged.
   *
   * <p>This may be a shutdown hook's wait, for which a handler waits that has called {@code
   * System.exit}, and which the worker would wait for.
   */
  private void awaitEnd() {
    boolean over = false;
    while (!over) {
      session.endWhatExits();
      over =
          session
              .ended()
              .handle((nothing, failure) -> true)
              .completeOnTimeout(false, EXIT_CHECK_SECONDS, TimeUnit.SECONDS)
              .join();
    }
  }

  /**
   * What it is doing, and has done since it began.
   *
   * @return as of the last change
   */
  public WorkerStats stats() {
    return session.stats();
  }

  /** How a worker is to be. Not thread-safe. */
  public static final class Builder {
    /** What the protocol allows of slots, and of prefetch. More could not even be added up. */
    private static final int MAX_SLOTS = 1_000_000;

    private final Endpoint endpoint;
    private final Map<String, Handler> handlers = new HashMap<>();
    private Handler fallback;
    private String pool = "default";
    private String workerId;
    private int slots = Runtime.getRuntime().availableProcessors();
    private int prefetch;
    private OptionalInt maxBatch = OptionalInt.empty();
    private Duration pollWait = Duration.ofSeconds(30);
    private Duration reportDelay = Duration.ofMillis(10);
    private Duration grace;
    private Executor executor;
    private Backoff.Policy backoff = Backoff.Policy.DEFAULT;

    private Builder(Endpoint endpoint) {
      this.endpoint = Objects.requireNonNull(endpoint, "endpoint");
    }

    /**
     * What runs the tasks of a kind of jobs.
     *
     * @param kind the jobs' kind; "": of jobs that have none
     * @param handler called by several threads at once
     * @return this
     * @throws IllegalArgumentException if the kind has a handler already
     */
    public Builder handler(String kind, Handler handler) {
      Objects.requireNonNull(kind, "kind");
      Objects.requireNonNull(handler, "handler");
      if (handlers.putIfAbsent(kind, handler) != null) {
        throw new IllegalArgumentException("kind '" + kind + "' has a handler already");
      }
      return this;
    }

    /**
     * What runs the tasks of all other kinds. Without it, such a task fails, to be tried again by
     * another worker of the pool.
     *
     * @param handler called by several threads at once
     * @return this
     */
    public Builder defaultHandler(Handler handler) {
      this.fallback = Objects.requireNonNull(handler, "handler");
      return this;
    }

    /**
     * The pool to serve; not given: {@code default}.
     *
     * @param pool its name
     * @return this
     */
    public Builder pool(String pool) {
      this.pool = Objects.requireNonNull(pool, "pool");
      return this;
    }

    /**
     * How much runs at once; not given: as many slots as the machine has processors.
     *
     * @param slots from 1 to 1,000,000
     * @return this
     */
    public Builder slots(int slots) {
      require(slots >= 1 && slots <= MAX_SLOTS, "slots", "from 1 to " + MAX_SLOTS, slots);
      this.slots = slots;
      return this;
    }

    /**
     * How many slots' worth of leases to queue beyond what runs. With 0, which is not given, the
     * service decides as late as possible, and that is fairest; short tasks are cheaper in batches
     * of 100 and more.
     *
     * @param prefetch from 0 to 1,000,000
     * @return this
     */
    public Builder prefetch(int prefetch) {
      require(
          prefetch >= 0 && prefetch <= MAX_SLOTS, "prefetch", "from 0 to " + MAX_SLOTS, prefetch);
      this.prefetch = prefetch;
      return this;
    }

    /**
     * Most leases of one poll; not given: as many as fit.
     *
     * @param maxBatch at least 1
     * @return this
     */
    public Builder maxBatch(int maxBatch) {
      require(maxBatch >= 1, "maxBatch", "at least 1", maxBatch);
      this.maxBatch = OptionalInt.of(maxBatch);
      return this;
    }

    /**
     * How long a poll may be parked at the service when there is nothing to run; not given: 30 s.
     *
     * @param pollWait the service allows a minute, if not configured otherwise
     * @return this
     */
    public Builder pollWait(Duration pollWait) {
      require(!pollWait.isNegative(), "pollWait", "at least nothing", pollWait);
      this.pollWait = pollWait;
      return this;
    }

    /**
     * How long a result may wait for the next poll to take it along; not given: 10 ms.
     *
     * @param reportDelay longer saves calls where tasks are short
     * @return this
     */
    public Builder reportDelay(Duration reportDelay) {
      require(!reportDelay.isNegative(), "reportDelay", "at least nothing", reportDelay);
      this.reportDelay = reportDelay;
      return this;
    }

    /**
     * How long what is held may take after a signal, or a stop that says no other time; not given:
     * as long as it takes.
     *
     * @param grace see {@link Worker#requestStop(Duration)}
     * @return this
     */
    public Builder grace(Duration grace) {
      require(!grace.isNegative(), "grace", "at least nothing", grace);
      this.grace = grace;
      return this;
    }

    /**
     * Where handlers run; not given: in a thread for each slot.
     *
     * <p>The executor should run {@code slots} handlers at once, as what waits in it counts as
     * running: a pool of your own, or one of virtual threads. It is left open. {@code
     * Runnable::run} is right for handlers of microseconds alone: they run in the worker's own
     * thread, and keep it from its other duties.
     *
     * @param executor yours
     * @return this
     */
    public Builder executor(Executor executor) {
      this.executor = Objects.requireNonNull(executor, "executor");
      return this;
    }

    /**
     * The name of this worker; not given: one with the host, the process and a random part. Two
     * workers must never share a name, nor may one that has crashed pass it on.
     *
     * @param workerId 1 to 128 bytes
     * @return this
     */
    public Builder workerId(String workerId) {
      this.workerId = Objects.requireNonNull(workerId, "workerId");
      return this;
    }

    /** For tests: shorter waits between tries. */
    Builder backoff(Backoff.Policy backoff) {
      this.backoff = backoff;
      return this;
    }

    /**
     * The worker, which does nothing yet.
     *
     * @return a worker to run, or to start and close
     * @throws IllegalStateException if it has no handler
     */
    public Worker build() {
      if (handlers.isEmpty() && fallback == null) {
        throw new IllegalStateException("a worker needs a handler: handler(kind, task -> ...)");
      }
      WorkerOptions options =
          new WorkerOptions(
              endpoint,
              pool,
              workerId == null ? newWorkerId() : workerId,
              slots,
              prefetch,
              maxBatch,
              pollWait,
              reportDelay,
              grace,
              executor,
              Map.copyOf(handlers),
              fallback,
              backoff);
      log.log(Level.DEBUG, "worker {0} of pool {1} at {2}", options.workerId(), pool, endpoint);
      return new Worker(options);
    }

    private static void require(boolean fine, String name, String remedy, Object value) {
      if (!fine) {
        throw new IllegalArgumentException(name + " must be " + remedy + ", not " + value);
      }
    }

    /** One process, one id, new at each start; the service takes 128 bytes. */
    private static String newWorkerId() {
      String host;
      try {
        host = InetAddress.getLocalHost().getHostName();
      } catch (UnknownHostException nameless) {
        host = "worker";
      }
      String random = UUID.randomUUID().toString().substring(0, 8);
      return host.substring(0, Math.min(host.length(), 64))
          + "-"
          + ProcessHandle.current().pid()
          + "-"
          + random;
    }
  }
}
