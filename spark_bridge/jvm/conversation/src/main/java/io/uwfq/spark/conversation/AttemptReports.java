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
import io.uwfq.v1.TaskResultStatus;
import io.uwfq.v1.TaskStart;
import io.uwfq.v1.TaskSuccess;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Tells the service which attempts have started and ended: one message is under way, what happens
 * meanwhile rides on the next, so that messages grow with the load and not their number.
 *
 * <p>Starts and results ride on a poll that does not wait, since the poll that waits for the next
 * order may be parked for seconds. Confined to the speaker's thread.
 */
final class AttemptReports {
  /** Most starts and results in one message; keeps it far below the service's limits. */
  private static final int MAX_BATCH = 2_000;

  private static final int MAX_MESSAGE_CHARACTERS = 500;

  /** One attempt that has started ({@code outcome} null) or ended. */
  private record Report(
      JobMirror job,
      StageMirror stage,
      int index,
      int attempt,
      long atNanos,
      TaskOutcome outcome) {}

  /** What follows from answers, for the rest of the conversation. */
  interface Listener {
    /** The service has answered. */
    void heard();

    /** The service is out of reach. */
    void lost(Status status);

    /** The service does not know the job, or a stage of it, any more. */
    void forgotten(JobMirror job);

    /** All attempts of the job that were to be reported are acknowledged. */
    void caughtUp(JobMirror job);

    /** Under a gate: the order, and what may be launched, with the reports taken in. */
    void ranked(Ranking ranking);

    /** A message was answered, or failed: the next may be sent. */
    void free();
  }

  private final Settings settings;
  private final Service service;
  private final Consumer<NextTaskRequest.Builder> identity;
  private final Listener listener;
  private final Deque<Report> waiting = new ArrayDeque<>();
  private boolean calling;

  AttemptReports(
      Settings settings,
      Service service,
      Consumer<NextTaskRequest.Builder> identity,
      Listener listener) {
    this.settings = settings;
    this.service = service;
    this.identity = identity;
    this.listener = listener;
  }

  void started(JobMirror job, StageMirror stage, int index, int attempt, long atNanos) {
    add(new Report(job, stage, index, attempt, atNanos, null));
  }

  void ended(JobMirror job, StageMirror stage, int index, int attempt, TaskOutcome outcome) {
    add(new Report(job, stage, index, attempt, 0, outcome));
  }

  private void add(Report report) {
    report.job().unreported++;
    waiting.add(report);
  }

  /**
   * Reports all that is known of a stage that the service has just been told of: in the usual case
   * nothing has happened yet, after a break it is the whole past of the stage. The past successes
   * share their summed runtime evenly, so that the sum is right.
   */
  void catchUp(JobMirror job, StageMirror stage) {
    int done = stage.done.cardinality();
    // A job's later life was charged for them in its former one.
    double each = done == 0 || job.incarnation > 1 ? 0 : stage.doneSeconds / done;
    TaskOutcome success = new TaskOutcome.Success(each, OptionalLong.empty(), OptionalLong.empty());
    for (int index = stage.done.nextSetBit(0);
        index >= 0;
        index = stage.done.nextSetBit(index + 1)) {
      ended(job, stage, index, 1, success);
    }
    stage.startedAtNanos.forEach(
        (key, atNanos) ->
            started(job, stage, StageMirror.indexOf(key), StageMirror.attemptOf(key), atNanos));
  }

  /** Takes back what was still to be reported of a job; its mirror tells it anew. */
  void forget(JobMirror job) {
    waiting.removeIf(
        report -> {
          if (report.job() == job) {
            job.unreported--;
          }
          return report.job() == job;
        });
  }

  boolean hasWork() {
    return !waiting.isEmpty() && !calling;
  }

  /** Sends what waits, if nothing is under way. */
  void send() {
    if (!hasWork()) {
      return;
    }
    List<Report> starts = new ArrayList<>();
    List<Report> ends = new ArrayList<>();
    long nowNanos = System.nanoTime();
    NextTaskRequest.Builder request = NextTaskRequest.newBuilder();
    identity.accept(request);
    request.setRanking(wanted());
    while (!waiting.isEmpty() && starts.size() + ends.size() < MAX_BATCH) {
      Report report = waiting.poll();
      if (report.outcome() == null) {
        starts.add(report);
        request.addStarted(start(report, nowNanos));
      } else {
        ends.add(report);
        request.addDone(result(report));
      }
    }
    calling = true;
    service.call(
        SchedulerServiceStub::nextTask,
        request.build(),
        settings.rpcTimeoutMillis(),
        answer -> {
          calling = false;
          listener.heard();
          acknowledged(starts, ends, answer);
          if (settings.gate() == Settings.Gate.LEASES) {
            listener.ranked(answer.getRanking());
          }
          listener.free();
        },
        status -> {
          calling = false;
          if (Service.isOutOfReach(status)) {
            // Whether it was applied is unknown. When the service is back, all is said again.
            listener.lost(status);
          }
          List<Report> all = new ArrayList<>(ends);
          all.addAll(starts);
          for (int i = all.size() - 1; i >= 0; i--) {
            Report report = all.get(i);
            if (report.stage().announced && Service.isOutOfReach(status)) {
              waiting.addFirst(report);
            } else {
              report.job().unreported--;
            }
          }
          listener.free();
        });
  }

  /**
   * The order comes through the parked poll, so that a line of it is enough here. What may be
   * launched changes with what is reported, though, and under a gate Spark waits for it.
   */
  private RankingRequest wanted() {
    return settings.gate() == Settings.Gate.LEASES
        ? RankingRequest.getDefaultInstance()
        : RankingRequest.newBuilder().setMaxStages(1).build();
  }

  private void acknowledged(List<Report> starts, List<Report> ends, NextTaskResponse answer) {
    Set<JobMirror> jobs = new HashSet<>();
    Set<JobMirror> forgotten = new HashSet<>();
    settle(starts, answer.getStartedAcksList(), jobs, forgotten);
    settle(ends, answer.getDoneAcksList(), jobs, forgotten);
    forgotten.forEach(listener::forgotten);
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
      Set<JobMirror> forgotten) {
    for (int i = 0; i < reports.size(); i++) {
      JobMirror job = reports.get(i).job();
      job.unreported--;
      jobs.add(job);
      boolean unknown =
          i < acks.size() && acks.get(i).getStatus() == TaskResultStatus.TASK_RESULT_STATUS_UNKNOWN;
      if (unknown && job.step == JobMirror.Step.OPEN && reports.get(i).stage().announced) {
        forgotten.add(job);
      }
    }
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
              .setMessage(message.substring(0, Math.min(message.length(), MAX_MESSAGE_CHARACTERS)))
              .setRetryable(true) // Spark decides whether it tries again, and ends the job if not.
              .setRuntimeSeconds(runtimeSeconds));
    }
    return result.build();
  }
}
