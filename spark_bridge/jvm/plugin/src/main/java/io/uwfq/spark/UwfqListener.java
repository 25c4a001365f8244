package io.uwfq.spark;

import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.JobEnd;
import io.uwfq.spark.conversation.TaskOutcome;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntPredicate;
import org.apache.spark.Resubmitted$;
import org.apache.spark.Success$;
import org.apache.spark.TaskEndReason;
import org.apache.spark.TaskFailedReason;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.JobFailed;
import org.apache.spark.scheduler.SlotCounter;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorMetricsUpdate;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerResourceProfileAdded;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.scheduler.TaskInfo;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Product;

/**
 * Hands the events of Spark's listener bus on. It has a queue of the bus to itself, so that other
 * listeners, however slow, cost it no events.
 *
 * <p>Never throws: the bus stops the application when a listener throws an error, such as one of
 * linkage.
 */
public final class UwfqListener extends SparkListener {
  /** The queue's name on the bus, and in the metrics that Spark keeps of it. */
  public static final String QUEUE = "uwfq";

  /** Between two looks at what may be over; longer than an event is under way. */
  private static final long LOOK_NANOS = TimeUnit.SECONDS.toNanos(30);

  private static final Logger LOG = LoggerFactory.getLogger(UwfqListener.class);

  private static final String THRIFT_PACKAGE = "org.apache.spark.sql.hive.thriftserver.ui.";

  private final JobTracker tracker;
  private final Users users;
  private final Conversation conversation;
  private final SlotCounter slots;
  private final IntPredicate sparkJobRuns;
  private final long restNanos;
  private long restedAtNanos;
  private long lookedAtNanos = System.nanoTime();
  private boolean errorLogged;

  /**
   * @param slots counts the slots that the application has now
   * @param sparkJobRuns whether Spark runs a Spark job
   * @param rest for how long the queue's thread rests after an event about a task; its queue must
   *     have room for the events of so long
   */
  public UwfqListener(
      JobTracker tracker,
      Users users,
      Conversation conversation,
      SlotCounter slots,
      IntPredicate sparkJobRuns,
      Duration rest) {
    this.tracker = tracker;
    this.users = users;
    this.conversation = conversation;
    this.slots = slots;
    this.sparkJobRuns = sparkJobRuns;
    this.restNanos = rest.toNanos();
    this.restedAtNanos = System.nanoTime() - restNanos;
  }

  @Override
  public void onJobStart(SparkListenerJobStart event) {
    guarded(() -> jobStarted(event));
  }

  private void jobStarted(SparkListenerJobStart event) {
    String callSite = "";
    int last = -1;
    for (var stages = event.stageInfos().iterator(); stages.hasNext(); ) {
      StageInfo stage = stages.next();
      if (stage.stageId() > last) { // the result stage is made last
        last = stage.stageId();
        callSite = stage.name();
      }
    }
    tracker.sparkJobStarted(event.jobId(), event.properties(), callSite);
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd event) {
    guarded(() -> jobEnded(event));
  }

  private void jobEnded(SparkListenerJobEnd event) {
    JobEnd end =
        event.jobResult() instanceof JobFailed failed
            ? new JobEnd(false, String.valueOf(failed.exception().getMessage()))
            : JobEnd.SUCCEEDED;
    tracker.sparkJobEnded(event.jobId(), end);
  }

  @Override
  public void onTaskStart(SparkListenerTaskStart event) {
    guarded(() -> taskStarted(event));
  }

  private void taskStarted(SparkListenerTaskStart event) {
    TaskInfo task = event.taskInfo();
    tracker.taskStarted(
        event.stageId(), event.stageAttemptId(), task.index(), task.attemptNumber() + 1);
    rest();
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd event) {
    guarded(() -> taskEnded(event));
  }

  private void taskEnded(SparkListenerTaskEnd event) {
    TaskInfo task = event.taskInfo();
    // Spark says so of a map task that had succeeded, when its output is lost: it did end before.
    if (task == null || event.reason() == Resubmitted$.MODULE$) {
      return;
    }
    tracker.taskEnded(
        event.stageId(),
        event.stageAttemptId(),
        task.index(),
        task.attemptNumber() + 1,
        outcome(task, event.reason(), event.taskMetrics()));
    rest();
  }

  /**
   * Lets the next events gather. For a thread that is always ready, Spark's scheduler would wake it
   * for each event, twice a task, which costs more than all that is done with it.
   */
  private void rest() {
    if (restNanos > 0 && System.nanoTime() - restedAtNanos >= restNanos) {
      LockSupport.parkNanos(restNanos);
      restedAtNanos = System.nanoTime();
    }
  }

  /**
   * Not told by the pool, which lets go of a task set before the listener hears of its last task.
   */
  @Override
  public void onStageCompleted(SparkListenerStageCompleted event) {
    guarded(() -> stageCompleted(event));
  }

  private void stageCompleted(SparkListenerStageCompleted event) {
    tracker.stageEnded(event.stageInfo().stageId(), event.stageInfo().attemptNumber());
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded event) {
    guarded(() -> conversation.slotsChanged(slots.getAsInt()));
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved event) {
    guarded(() -> conversation.slotsChanged(slots.getAsInt()));
  }

  @Override
  public void onResourceProfileAdded(SparkListenerResourceProfileAdded event) {
    guarded(() -> profileAdded(event));
  }

  private void profileAdded(SparkListenerResourceProfileAdded event) {
    slots.addProfile(event.resourceProfile());
    conversation.slotsChanged(slots.getAsInt());
  }

  /** Comes every few seconds, from the driver and from each executor. */
  @Override
  public void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate event) {
    guarded(() -> metricsUpdated(event));
  }

  private void metricsUpdated(SparkListenerExecutorMetricsUpdate event) {
    long now = System.nanoTime();
    if (now - lookedAtNanos >= LOOK_NANOS) {
      lookedAtNanos = now;
      tracker.endWhatIsOver(sparkJobRuns);
    }
  }

  @Override
  public void onOtherEvent(SparkListenerEvent event) {
    guarded(() -> otherEvent(event));
  }

  private void otherEvent(SparkListenerEvent event) {
    if (event instanceof SparkListenerSQLExecutionStart start) {
      tracker.executionStarted(start.executionId(), start.description());
    } else if (event instanceof SparkListenerSQLExecutionEnd end) {
      boolean failed = end.errorMessage().isDefined() && !end.errorMessage().get().isEmpty();
      tracker.executionEnded(
          end.executionId(),
          failed ? new JobEnd(false, end.errorMessage().get()) : JobEnd.SUCCEEDED);
    } else if (event.getClass().getName().startsWith(THRIFT_PACKAGE)) {
      thrift((Product) event);
    }
  }

  private void guarded(Runnable handling) {
    try {
      handling.run();
    } catch (RuntimeException | LinkageError | AssertionError broken) {
      conversation.figures().caughtErrors.increment();
      if (!errorLogged) {
        errorLogged = true;
        LOG.error(
            "UWFQ could not hand on what Spark tells of. This is a bug; it is said once.", broken);
      }
    }
  }

  /**
   * The classes of the Thrift server may not be there; all that is read of them is their fields.
   */
  private void thrift(Product event) {
    switch (event.productPrefix()) {
      case "SparkListenerThriftServerSessionCreated" -> users.thriftSessionCreated();
      case "SparkListenerThriftServerOperationStart" ->
          users.thriftStatementStarted(
              (String) event.productElement(3), (String) event.productElement(5));
      case "SparkListenerThriftServerOperationClosed" ->
          users.thriftStatementClosed((String) event.productElement(0));
      default -> {}
    }
  }

  private static TaskOutcome outcome(TaskInfo task, TaskEndReason reason, TaskMetrics metrics) {
    // A result that is fetched separately keeps the task open, but not its slot.
    long end = task.gettingResultTime() > 0 ? task.gettingResultTime() : task.finishTime();
    double runtimeSeconds = Math.max(0, end - task.launchTime()) / 1000.0;
    if (reason != Success$.MODULE$) {
      String message =
          reason instanceof TaskFailedReason failed ? failed.toErrorString() : reason.toString();
      return new TaskOutcome.Failure(runtimeSeconds, message);
    }
    if (metrics == null) {
      return new TaskOutcome.Success(runtimeSeconds, OptionalLong.empty(), OptionalLong.empty());
    }
    var shuffle = metrics.shuffleReadMetrics();
    return new TaskOutcome.Success(
        runtimeSeconds,
        ifAny(metrics.inputMetrics().bytesRead() + shuffle.totalBytesRead()),
        ifAny(metrics.inputMetrics().recordsRead() + shuffle.recordsRead()));
  }

  private static OptionalLong ifAny(long count) {
    return count > 0 ? OptionalLong.of(count) : OptionalLong.empty();
  }
}
