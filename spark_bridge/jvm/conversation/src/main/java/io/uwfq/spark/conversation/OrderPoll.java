package io.uwfq.spark.conversation;

import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RankedStage;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.RankingRequest;
import io.uwfq.v1.SchedulerServiceGrpc.SchedulerServiceStub;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Asks for the order, and publishes where everybody stands.
 *
 * <p>One poll is parked in the service at any time; it comes back when the order changes, and after
 * half the time in which silence counts as loss, as a sign of life. Confined to the speaker's
 * thread, but for {@link #standings}.
 */
final class OrderPoll {
  private static final Logger LOG = LoggerFactory.getLogger(OrderPoll.class);

  /** A changed order is fetched this much later at the soonest, so that a storm is one answer. */
  private static final long GAP_MILLIS = 10;

  private static final long SHORTEST_WAIT_MILLIS = 100;
  private static final long REFUSED_DELAY_MILLIS = 2_000;
  private static final int MAX_REMEMBERED_USERS = 10_000;

  /** What the rest of the conversation knows. */
  interface Listener {
    /** The service has answered. */
    void heard();

    /** The open job of this name in the service; null: it is none of ours. */
    JobMirror job(String wireId);

    /** All open jobs. */
    Collection<JobMirror> jobs();
  }

  private final Settings settings;
  private final Service service;
  private final ScheduledExecutorService speaker;
  private final Contact contact;
  private final Consumer<NextTaskRequest.Builder> identity;
  private final Listener listener;
  private final long staleAfterNanos;

  private final Map<String, Double> deadlineByUser = new HashMap<>();
  private Map<StageKey, Integer> rankByStage = Map.of();
  private long version;
  private long heardAtNanos;
  private boolean everHeard;
  private boolean publishing;
  private boolean refusalLogged;
  private volatile boolean stopped;

  private volatile Standings standings = Standings.NONE;
  private volatile Map<StageKey, Integer> launchLimits = Map.of();
  private volatile Runnable launchLimitsChanged = () -> {};

  OrderPoll(
      Settings settings,
      Service service,
      ScheduledExecutorService speaker,
      Contact contact,
      Consumer<NextTaskRequest.Builder> identity,
      Listener listener) {
    this.settings = settings;
    this.service = service;
    this.speaker = speaker;
    this.contact = contact;
    this.identity = identity;
    this.listener = listener;
    this.staleAfterNanos = TimeUnit.MILLISECONDS.toNanos(settings.staleAfterMillis());
  }

  void start() {
    speaker.execute(this::poll);
    long tickMillis = Math.max(50, settings.staleAfterMillis() / 4);
    speaker.scheduleAtFixedRate(
        this::publishIfStale, tickMillis, tickMillis, TimeUnit.MILLISECONDS);
  }

  /** No more polls. From any thread. */
  void stop() {
    stopped = true;
  }

  /** The last that was published. From any thread. */
  Standings standings() {
    return standings;
  }

  /** How many tasks of a stage may have been launched, in all; empty: the service has not said. */
  OptionalInt launchLimit(StageKey stage) {
    Integer limit = launchLimits.get(stage);
    return limit == null ? OptionalInt.empty() : OptionalInt.of(limit);
  }

  /** Runs this after each change of the limits. */
  void onLaunchLimits(Runnable changed) {
    launchLimitsChanged = changed;
  }

  /** The service has answered, on whatever call. */
  void heard() {
    heardAtNanos = System.nanoTime();
    everHeard = true;
    if (!standings.reachable()) {
      publishSoon();
    }
  }

  /** A deadline of a job is known: its user's next job would hardly come before it. */
  void noteDeadline(JobMirror job, double deadline) {
    job.deadline = deadline;
    if (deadlineByUser.size() > MAX_REMEMBERED_USERS) {
      deadlineByUser.clear();
    }
    deadlineByUser.merge(job.facts.user(), deadline, Math::max);
  }

  /** Publishes what is known, once, however often it is asked for meanwhile. */
  void publishSoon() {
    if (!publishing && !speaker.isShutdown()) {
      publishing = true;
      speaker.execute(this::publish);
    }
  }

  private void poll() {
    if (stopped) {
      return;
    }
    if (!contact.answers()) {
      // The channel's own pauses between attempts to connect grow to minutes.
      service.channel().resetConnectBackoff();
    }
    NextTaskRequest.Builder request = NextTaskRequest.newBuilder();
    identity.accept(request);
    long waitMillis = Math.max(SHORTEST_WAIT_MILLIS, settings.staleAfterMillis() / 2);
    request
        .setWaitSeconds(waitMillis / 1e3)
        .setRanking(RankingRequest.newBuilder().setKnownVersion(version));
    service.call(
        SchedulerServiceStub::nextTask,
        request.build(),
        waitMillis + settings.rpcTimeoutMillis(),
        answer -> {
          listener.heard();
          refusalLogged = false;
          take(answer.getRanking());
          pollAfter(GAP_MILLIS);
        },
        status -> {
          if (Service.isOutOfReach(status)) {
            version = 0; // Another process counts anew.
            pollAfter(contact.failed(Service.describe(status)));
          } else {
            if (!refusalLogged) {
              refusalLogged = true;
              LOG.warn("UWFQ service gives no order: {}", Service.describe(status));
            }
            pollAfter(Service.retryDelayMillis(status).orElse(REFUSED_DELAY_MILLIS));
          }
        });
  }

  private void pollAfter(long millis) {
    if (!stopped) {
      speaker.schedule(this::poll, millis, TimeUnit.MILLISECONDS);
    }
  }

  /** The service has told the whole order. */
  void take(Ranking ranking) {
    version = ranking.getVersion();
    Map<StageKey, Integer> ranks = new HashMap<>(ranking.getStagesCount() * 2);
    Map<StageKey, Integer> limits = new HashMap<>();
    for (RankedStage stage : ranking.getStagesList()) {
      JobMirror job = listener.job(stage.getJobId());
      if (job != null) { // Others may share the pool.
        StageKey key = new StageKey(job.facts.jobId(), stage.getStage());
        ranks.putIfAbsent(key, ranks.size());
        noteDeadline(job, stage.getVirtualDeadline());
        StageMirror mirror = job.stages.get(stage.getStage());
        if (mirror != null) {
          limits.put(key, launchLimit(mirror.facts.taskCount(), stage));
        }
      }
    }
    rankByStage = Map.copyOf(ranks);
    publish();
    if (settings.gate() == Settings.Gate.LEASES) {
      launchLimits = Map.copyOf(limits);
      launchLimitsChanged.run();
    }
  }

  /** Counted in all, not from now on: launches that the service has not heard of are in it. */
  private static int launchLimit(int taskCount, RankedStage stage) {
    return taskCount - stage.getWaitingTasks() + stage.getLaunchNow();
  }

  private void publish() {
    publishing = false;
    Map<String, Double> deadlines = new HashMap<>();
    for (JobMirror job : listener.jobs()) {
      if (!Double.isNaN(job.deadline)) {
        deadlines.put(job.facts.jobId(), job.deadline);
      }
    }
    standings =
        new Standings(
            version,
            rankByStage,
            Map.copyOf(deadlines),
            Map.copyOf(deadlineByUser),
            heardAtNanos,
            isFresh());
  }

  private boolean isFresh() {
    return everHeard && System.nanoTime() - heardAtNanos < staleAfterNanos;
  }

  private void publishIfStale() {
    if (isFresh() != standings.reachable()) {
      publish();
    }
  }
}
