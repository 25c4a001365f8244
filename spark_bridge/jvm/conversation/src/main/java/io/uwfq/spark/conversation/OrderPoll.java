package io.uwfq.spark.conversation;

import io.grpc.Status;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RankedStage;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.RankingRequest;
import io.uwfq.v1.SchedulerServiceGrpc.SchedulerServiceStub;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * Asks for the order, and publishes where everybody stands.
 *
 * <p>A poll is parked in the service; it comes back when the order changes, and after half the time
 * in which silence counts as loss, as a sign of life. What becomes of it is what {@link Contact}
 * goes by. The next one follows after a while, if no report has brought the order meanwhile.
 *
 * <p>A failed poll does not make the last order worse: it is published as it is until it is too
 * old. Confined to the speaker's thread, but for what is said to be read from any.
 */
final class OrderPoll {
  private static final long SHORTEST_WAIT_MILLIS = 50;
  private static final long SHORTEST_TICK_MILLIS = 25;
  private static final long BUSY_DELAY_MILLIS = 1_000;
  private static final int MAX_REMEMBERED_USERS = 10_000;

  /** What the rest of the conversation knows. */
  interface Listener {
    /** The service answers, and did not before: it is to be told everything. */
    void found();

    /** The service does not answer: nothing can be told until it is found. */
    void lost();

    /** The open job of this name in the service; null: it is none of ours. */
    JobMirror job(String wireId);

    /** All open jobs. */
    Collection<JobMirror> jobs();
  }

  private final Settings settings;
  private final Service service;
  private final Speaker speaker;
  private final Contact contact;
  private final LongSupplier nanoClock;
  private final Consumer<NextTaskRequest.Builder> identity;
  private final Listener listener;
  private final long staleAfterNanos;
  private final Pace pace;

  private final Map<String, Double> deadlineByUser = new HashMap<>();
  private Map<StageKey, Integer> rankByStage = Map.of();
  private long version;
  private long heardAtNanos = Standings.NONE.heardAtNanos();
  private boolean publishing;

  /** Counts the polls that were put off: a poll that is no longer the last is not made. */
  private int turn;

  /** Whether the next poll waits for its time, the service having answered the one before. */
  private boolean resting;

  private volatile boolean stopped;

  private volatile Standings standings = Standings.NONE;
  private volatile Map<StageKey, Integer> launchLimits = Map.of();
  private volatile Runnable launchLimitsChanged = () -> {};

  OrderPoll(
      Settings settings,
      Service service,
      Speaker speaker,
      Contact contact,
      Pace pace,
      LongSupplier nanoClock,
      Consumer<NextTaskRequest.Builder> identity,
      Listener listener) {
    this.settings = settings;
    this.service = service;
    this.speaker = speaker;
    this.contact = contact;
    this.nanoClock = nanoClock;
    this.identity = identity;
    this.listener = listener;
    this.staleAfterNanos = TimeUnit.MILLISECONDS.toNanos(settings.staleAfterMillis());
    this.pace = pace;
  }

  void start() {
    speaker.execute(this::poll);
    speaker.every(
        Math.max(SHORTEST_TICK_MILLIS, settings.staleAfterMillis() / 10), this::noticeSilence);
  }

  /** No more polls. From any thread. */
  void stop() {
    stopped = true;
  }

  /** The last that was published. From any thread. */
  Standings standings() {
    return standings;
  }

  /** How many tasks of a stage may have been launched, in all. From any thread. */
  OptionalInt launchLimit(StageKey stage) {
    Integer limit = launchLimits.get(stage);
    return limit == null ? OptionalInt.empty() : OptionalInt.of(limit);
  }

  /** Runs this after each change of the limits. From any thread. */
  void onLaunchLimits(Runnable changed) {
    launchLimitsChanged = changed;
  }

  /** A job has a deadline: its user's next job would hardly come before it. */
  void noteDeadline(JobMirror job, double deadline) {
    if (!Double.isFinite(deadline)) {
      return;
    }
    job.deadline = deadline;
    if (deadlineByUser.size() > MAX_REMEMBERED_USERS) {
      deadlineByUser.clear();
    }
    deadlineByUser.merge(job.facts.user(), deadline, Math::max);
  }

  /** Publishes what is known, once, however often it is asked for meanwhile. */
  void publishSoon() {
    if (!publishing) {
      publishing = true;
      speaker.execute(this::publish);
    }
  }

  private void rest() {
    resting = true;
    pollIn(pace.orderMillis());
  }

  private void pollIn(long millis) {
    int mine = ++turn;
    speaker.after(
        millis,
        () -> {
          if (mine == turn) {
            poll();
          }
        });
  }

  private void poll() {
    resting = false;
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
    service.longPoll(
        SchedulerServiceStub::nextTask,
        request.build(),
        waitMillis + settings.rpcTimeoutMillis(),
        answer -> {
          rest(); // First: what follows may throw.
          heard();
          take(answer.getRanking());
        },
        status -> pollIn(failed(status)));
  }

  private void heard() {
    heardAtNanos = nanoClock.getAsLong();
    if (contact.heard()) {
      // Perhaps another process with another past: its clock of virtual time may begin anew.
      deadlineByUser.clear();
      listener.jobs().forEach(job -> job.deadline = Double.NaN);
      listener.found();
    }
  }

  /** Returns milliseconds to wait before the next poll. */
  private long failed(Status status) {
    if (Service.isBusy(status)) {
      contact.busy(Service.describe(status));
      return Service.retryDelayMillis(status).orElse(BUSY_DELAY_MILLIS);
    }
    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
      service.abandonConnecting();
    }
    boolean first = contact.answers();
    long delayMillis = contact.failed(Service.describe(status));
    if (first) {
      version = 0; // Another process counts anew.
      listener.lost();
    }
    return delayMillis;
  }

  /** The order came with the answer to a report: the poll for it is put off. */
  void ranked(Ranking ranking) {
    if (!contact.answers()) {
      return; // The poll has failed since: another process may be there by now.
    }
    heardAtNanos = nanoClock.getAsLong();
    if (resting) {
      rest();
    }
    take(ranking);
  }

  private void take(Ranking ranking) {
    version = ranking.getVersion();
    Map<StageKey, Integer> ranks = new HashMap<>(ranking.getStagesCount() * 2);
    Map<StageKey, Integer> limits = new HashMap<>();
    for (RankedStage stage : ranking.getStagesList()) {
      JobMirror job = listener.job(stage.getJobId());
      StageMirror mirror = job == null ? null : job.stages.get(stage.getStage());
      if (mirror != null && !job.isGivenUp()) { // Else it is none of ours, or over by now.
        ranks.putIfAbsent(mirror.facts.key(), ranks.size());
        noteDeadline(job, stage.getVirtualDeadline());
        limits.put(mirror.facts.key(), launchLimit(mirror.facts.taskCount(), stage));
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
    return heardAtNanos != Standings.NONE.heardAtNanos()
        && nanoClock.getAsLong() - heardAtNanos < staleAfterNanos;
  }

  private void noticeSilence() {
    if (standings.reachable() && !isFresh()) {
      contact.stale();
      publish();
    }
  }
}
