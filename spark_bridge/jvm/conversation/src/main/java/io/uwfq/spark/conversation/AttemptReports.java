package io.uwfq.spark.conversation;

import io.grpc.Status;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.NextTaskResponse;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.RankingRequest;
import io.uwfq.v1.SchedulerServiceGrpc.SchedulerServiceStub;
import io.uwfq.v1.TaskFailure;
import io.uwfq.v1.TaskResult;
import io.uwfq.v1.TaskResultAck;
import io.uwfq.v1.TaskStart;
import io.uwfq.v1.TaskSuccess;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the service which attempts have started and ended: one message is under way, what happens
 * meanwhile rides on the next, and none follows at once, so that messages grow with the load and
 * not their number.
 *
 * <p>They are polls that do not wait, since the poll that waits for the next order may be parked
 * for seconds; the order comes with their answers, too. A message that got lost is sent again; an
 * attempt that is reported twice counts once. Confined to the speaker's thread.
 */
final class AttemptReports {
  private static final Logger LOG = LoggerFactory.getLogger(AttemptReports.class);

  /** Most starts and results in one message; keeps it far below the service's limits. */
  private static final int MAX_BATCH = 2_000;

  /** Reports that may wait; beyond it they are dropped and counted. */
  private static final int MAX_WAITING = 200_000;

  /** Faults of the service in a row before the message is taken apart, and of one job dropped. */
  private static final int MAX_FAULTS = 5;

  private static final int MAX_MESSAGE_CHARACTERS = 500;
  private static final long FIRST_DELAY_MILLIS = 50;
  private static final long LAST_DELAY_MILLIS = 2_000;

  private record Task(StageMirror stage, int index) {}

  /** One attempt that has started ({@code outcome} null) or ended. */
  private record Report(
      JobMirror job,
      int telling,
      StageMirror stage,
      int index,
      int attempt,
      long atNanos,
      TaskOutcome outcome) {

    Task task() {
      return new Task(stage, index);
    }

    boolean isFirstSuccess() {
      return attempt == 1 && outcome instanceof TaskOutcome.Success;
    }

    /** Whether it was not overtaken: after a break all is said again. */
    boolean isCurrent() {
      return telling == job.telling && job.step == JobMirror.Step.OPEN;
    }
  }

  /** What follows from answers, for the rest of the conversation. */
  interface Listener {
    /** Whether there is anybody to talk to. */
    boolean mayTalk();

    /** The service does not know the job, or a stage of it, any more. */
    void forgotten(JobMirror job);

    /** The service may have ended the job. */
    void doubtful(JobMirror job);

    /** The service fails each time that it is told of the job's attempts. */
    void failing(JobMirror job, Status status);

    /** All attempts of the job that were to be reported are acknowledged, or given up. */
    void caughtUp(JobMirror job);

    /** The order, and what may be launched, with the reports taken in. */
    void ranked(Ranking ranking);
  }

  private final Settings settings;
  private final Service service;
  private final Speaker speaker;
  private final Pace pace;
  private final RandomGenerator random;
  private final Consumer<NextTaskRequest.Builder> identity;
  private final Listener listener;
  private final Deque<Report> waiting = new ArrayDeque<>();
  private boolean calling;

  /** Until {@code pause} is over nothing is sent; a later pause takes the place of this one. */
  private boolean pausing;

  private int pause;

  /** Whether the pause is for the sake of few messages alone, and since when. */
  private boolean pacing;

  private long pacingSinceNanos;

  /** Whether somebody waits for what was not sent yet. */
  private boolean hurried;

  private boolean identityNews;
  private int failures;

  /** Faults of the service in a row, with the same reports. */
  private int faults;

  private boolean refusalLogged;

  /** Reports at the head of those that wait that go out job by job: one of them was refused. */
  private int suspects;

  AttemptReports(
      Settings settings,
      Service service,
      Speaker speaker,
      Pace pace,
      RandomGenerator random,
      Consumer<NextTaskRequest.Builder> identity,
      Listener listener) {
    this.settings = settings;
    this.service = service;
    this.speaker = speaker;
    this.pace = pace;
    this.random = random;
    this.identity = identity;
    this.listener = listener;
  }

  void started(JobMirror job, StageMirror stage, int index, int attempt, long atNanos) {
    add(new Report(job, job.telling, stage, index, attempt, atNanos, null));
  }

  void ended(JobMirror job, StageMirror stage, int index, int attempt, TaskOutcome outcome) {
    add(new Report(job, job.telling, stage, index, attempt, 0, outcome));
  }

  private void add(Report report) {
    if (waiting.size() >= MAX_WAITING) {
      service.figures().droppedFacts.increment();
      return;
    }
    report.job().unreported++;
    waiting.add(report);
  }

  /**
   * Reports all that is known of a stage that the service has just been told of: in the usual case
   * nothing or little has happened yet, after a break it is the whole past of the stage. Successes
   * that were told before the break share their summed runtime evenly, so that the sum is right.
   */
  void catchUp(JobMirror job, StageMirror stage) {
    // A job's later life was charged for all of it in its former one.
    boolean charged = job.incarnation > 1;
    if (!charged) {
      // Before the successes: what fails when its task is done already was none of the job's.
      stage.failedSeconds.forEach((key, seconds) -> failed(job, stage, key, seconds));
    }
    double each = charged ? 0 : stage.meanSecondsOfOthers();
    TaskOutcome success = new TaskOutcome.Success(each, OptionalLong.empty(), OptionalLong.empty());
    for (int index = stage.done.nextSetBit(0);
        index >= 0;
        index = stage.done.nextSetBit(index + 1)) {
      int winner = stage.winner(index);
      long key = StageMirror.attemptKey(index, winner);
      ended(job, stage, index, winner, stage.untold.getOrDefault(key, success));
    }
    stage.untold.clear();
    stage.startedAtNanos.forEach(
        (key, atNanos) ->
            started(job, stage, StageMirror.indexOf(key), StageMirror.attemptOf(key), atNanos));
  }

  private void failed(JobMirror job, StageMirror stage, long key, double seconds) {
    int index = StageMirror.indexOf(key);
    int attempt = StageMirror.attemptOf(key);
    started(job, stage, index, attempt, System.nanoTime() - (long) (seconds * 1e9));
    TaskOutcome failure = new TaskOutcome.Failure(seconds, "");
    ended(job, stage, index, attempt, stage.untold.getOrDefault(key, failure));
  }

  /** Drops what waits: the service is away, and will be told anew. */
  void clear() {
    waiting.clear();
    suspects = 0;
  }

  /** Tells who we are, and with how many slots, with the next message. */
  void tellIdentity() {
    identityNews = true;
    hurry();
    send();
  }

  /** Somebody waits for what is known: sends it as soon as the pace of busy times allows. */
  void hurry() {
    hurried = true;
    if (pacing) {
      long pausedMillis = (System.nanoTime() - pacingSinceNanos) / 1_000_000;
      pause(Math.max(0, pace.reportMillis(true) - pausedMillis));
    }
  }

  /** Sends what waits, if nothing is under way. */
  void send() {
    if (calling || pausing || !listener.mayTalk() || (waiting.isEmpty() && !identityNews)) {
      return;
    }
    identityNews = false;
    hurried = false;
    List<Report> starts = new ArrayList<>();
    List<Report> ends = new ArrayList<>();
    NextTaskRequest.Builder request = NextTaskRequest.newBuilder();
    identity.accept(request);
    request.setRanking(RankingRequest.getDefaultInstance());
    boolean suspected = suspects > 0;
    fill(request, starts, ends);
    calling = true;
    service.call(
        SchedulerServiceStub::nextTask,
        request.build(),
        settings.rpcTimeoutMillis(),
        answer -> {
          calling = false;
          failures = 0;
          faults = 0;
          acknowledged(starts, ends, answer);
          listener.ranked(answer.getRanking());
          if (settings.gate() == Settings.Gate.LEASES) {
            send();
          } else {
            pacing = true;
            pacingSinceNanos = System.nanoTime();
            pause(pace.reportMillis(hurried || waiting.size() >= MAX_BATCH));
          }
        },
        status -> {
          calling = false;
          failed(starts, ends, suspected, status);
          send();
        });
  }

  private void fill(NextTaskRequest.Builder request, List<Report> starts, List<Report> ends) {
    JobMirror only = suspects > 0 ? waiting.peek().job() : null;
    Map<Task, Integer> reportsByTask = new HashMap<>();
    while (!waiting.isEmpty() && starts.size() + ends.size() < MAX_BATCH) {
      if (only != null && (suspects == 0 || waiting.peek().job() != only)) {
        break;
      }
      Report report = waiting.poll();
      suspects = Math.max(0, suspects - 1);
      if (report.isCurrent()) {
        (report.outcome() == null ? starts : ends).add(report);
        reportsByTask.merge(report.task(), 1, Integer::sum);
      }
    }
    // The success of a first attempt stands for its start, unless the task has a rival attempt: the
    // service charges a loser that it has heard of before the winner.
    Set<Task> untold = new HashSet<>();
    for (Report end : ends) {
      if (end.isFirstSuccess() && reportsByTask.get(end.task()) == 2) {
        untold.add(end.task());
      }
      request.addDone(result(end));
    }
    long nowNanos = System.nanoTime();
    for (Iterator<Report> each = starts.iterator(); each.hasNext(); ) {
      Report start = each.next();
      if (start.attempt() == 1 && untold.contains(start.task())) {
        start.job().unreported--;
        each.remove();
      } else {
        request.addStarted(start(start, nowNanos));
      }
    }
  }

  private void acknowledged(List<Report> starts, List<Report> ends, NextTaskResponse answer) {
    Set<JobMirror> jobs = new LinkedHashSet<>();
    Set<JobMirror> forgotten = new LinkedHashSet<>();
    Set<JobMirror> doubtful = new LinkedHashSet<>();
    settle(starts, answer.getStartedAcksList(), jobs, forgotten, doubtful);
    settle(ends, answer.getDoneAcksList(), jobs, forgotten, doubtful);
    doubtful.removeAll(forgotten);
    forgotten.forEach(listener::forgotten);
    doubtful.forEach(listener::doubtful);
    tellCaughtUp(jobs);
  }

  private void tellCaughtUp(Set<JobMirror> jobs) {
    for (JobMirror job : jobs) {
      if (job.unreported == 0) {
        listener.caughtUp(job);
      }
    }
  }

  private static void settle(
      List<Report> reports,
      List<TaskResultAck> acks,
      Set<JobMirror> jobs,
      Set<JobMirror> forgotten,
      Set<JobMirror> doubtful) {
    for (int i = 0; i < reports.size(); i++) {
      Report report = reports.get(i);
      if (!report.isCurrent()) {
        continue;
      }
      report.job().unreported--;
      jobs.add(report.job());
      if (i < acks.size()) {
        switch (acks.get(i).getStatus()) {
          case TASK_RESULT_STATUS_UNKNOWN -> forgotten.add(report.job());
          case TASK_RESULT_STATUS_STALE -> doubtful.add(report.job());
          default -> {}
        }
      }
    }
  }

  /** Whether the message was taken in may be unknown; sent again it does no harm. */
  private void failed(List<Report> starts, List<Report> ends, boolean suspected, Status status) {
    Map<JobMirror, List<Report>> byJob = new LinkedHashMap<>();
    for (List<Report> reports : List.of(starts, ends)) {
      for (Report report : reports) {
        if (report.isCurrent()) {
          byJob.computeIfAbsent(report.job(), job -> new ArrayList<>()).add(report);
        }
      }
    }
    // The poll for the order is answered meanwhile: the fault is in what is told here.
    boolean hopeless = Service.isFault(status) && ++faults > MAX_FAULTS;
    if (!hopeless && (Service.isOutOfReach(status) || Service.isBusy(status))) {
      identityNews = true;
      int again = putBack(byJob);
      suspects += suspected ? again : 0; // They stay apart from the others.
      pause(retryMillis(Service.retryDelayMillis(status)));
    } else if (byJob.size() > 1) {
      // One of them is to blame: told job by job it costs the others nothing.
      suspects += putBack(byJob);
      faults = 0;
    } else {
      if (hopeless) {
        byJob.keySet().forEach(job -> listener.failing(job, status));
      }
      drop(byJob, status);
    }
  }

  private int putBack(Map<JobMirror, List<Report>> byJob) {
    List<Report> reports = byJob.values().stream().flatMap(List::stream).toList();
    for (int i = reports.size() - 1; i >= 0; i--) {
      waiting.addFirst(reports.get(i));
    }
    return reports.size();
  }

  private void drop(Map<JobMirror, List<Report>> byJob, Status status) {
    if (!refusalLogged) {
      refusalLogged = true;
      LOG.warn("UWFQ service refuses reports: {} (said once)", Service.describe(status));
    }
    byJob.forEach(
        (job, reports) -> {
          job.unreported -= reports.size();
          service.figures().droppedFacts.add(reports.size());
        });
    tellCaughtUp(byJob.keySet());
  }

  private long retryMillis(OptionalLong askedMillis) {
    return askedMillis.isPresent()
        ? Backoff.jittered(2 * askedMillis.getAsLong(), random)
        : Backoff.millis(FIRST_DELAY_MILLIS, LAST_DELAY_MILLIS, failures++, random);
  }

  private void pause(long millis) {
    int mine = ++pause;
    pausing = true;
    speaker.after(
        millis,
        () -> {
          if (mine == pause) {
            pausing = false;
            pacing = false;
            send();
          }
        });
  }

  private static TaskStart start(Report report, long nowNanos) {
    return TaskStart.newBuilder()
        .setJobId(report.job().wireId())
        .setStage(report.stage().facts.key().stage())
        .setTaskIndex(report.index())
        .setAttempt(report.attempt())
        .setRunningSeconds(Math.max(0, (nowNanos - report.atNanos()) / 1e9))
        .build();
  }

  private static TaskResult result(Report report) {
    TaskResult.Builder result =
        TaskResult.newBuilder()
            .setJobId(report.job().wireId())
            .setStage(report.stage().facts.key().stage())
            .setTaskIndex(report.index())
            .setAttempt(report.attempt());
    double seconds = report.outcome().runtimeSeconds();
    double runtimeSeconds = seconds >= 0 && seconds < Double.POSITIVE_INFINITY ? seconds : 0;
    if (report.outcome() instanceof TaskOutcome.Success success) {
      TaskSuccess.Builder done = TaskSuccess.newBuilder().setRuntimeSeconds(runtimeSeconds);
      success.inputBytes().ifPresent(bytes -> done.setInputBytes(Math.max(0, bytes)));
      success.rows().ifPresent(rows -> done.setRows(Math.max(0, rows)));
      result.setSuccess(done);
    } else if (report.outcome() instanceof TaskOutcome.Failure failure) {
      String message = failure.message() == null ? "" : failure.message();
      result.setFailure(
          TaskFailure.newBuilder()
              .setMessage(Texts.cut(message, MAX_MESSAGE_CHARACTERS))
              .setRetryable(true) // Spark decides whether it tries again, and ends the job if not.
              .setRuntimeSeconds(runtimeSeconds));
    }
    return result.build();
  }
}
