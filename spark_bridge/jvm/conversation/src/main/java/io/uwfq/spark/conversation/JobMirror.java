package io.uwfq.spark.conversation;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What is known of one job, and how far the service has been told.
 *
 * <p>Confined to the speaker's thread. One call about the job is in flight at a time, so what Spark
 * said in order reaches the service in order; calls about different jobs overlap.
 */
final class JobMirror {
  /** How far the service has been told. */
  enum Step {
    /** Not submitted, or what was said is lost: everything is to be said (again). */
    UNKNOWN,
    /** Submitted before the break: whether the service has ended it meanwhile is to be asked. */
    DOUBTFUL,
    /** Submitted and open. */
    OPEN,
    /** The service takes nothing more of it; its end is still to be said. */
    REFUSED,
    /** Ended there, or given up: nothing more is to be said. */
    SETTLED
  }

  final JobFacts facts;
  final Map<String, StageMirror> stages = new LinkedHashMap<>();

  /** Computed once, before the job is first submitted. */
  JobShape shape;

  /** Likewise. */
  Map<String, String> labels;

  Step step = Step.UNKNOWN;

  /** Whether a call about this job is in flight, or its shape is being found. */
  boolean calling;

  /** Whether that call says that the job is over. */
  boolean ending;

  /** Whether the job waits for its turn after a refusal. */
  boolean pausing;

  /** Whether stages that were not announced wait for others to share the message. */
  boolean gathering;

  /** Whether they have waited for long enough. */
  boolean gathered;

  /** How it ended in Spark; null: it has not. */
  JobEnd end;

  /** The service's deadline; NaN before its first answer. */
  double deadline = Double.NaN;

  /**
   * What tells the job from one that a former run of the application, under the same id, gave the
   * same name; empty: there was none.
   */
  String ofThisRun = "";

  /** Counts the lives of the job in the service: it may have ended a former one. */
  int incarnation = 1;

  /** Whether the service may know the job, in any of its lives. */
  boolean maybeKnown;

  /** Whether the stages were let go of to save memory: the end alone is still to be said. */
  boolean stripped;

  /** Starts and results of the present telling that are not acknowledged yet. */
  int unreported;

  /** Rises whenever all is to be said again: answers to calls of before mean nothing then. */
  int telling;

  /** Refusals in a row; the job waits for longer after each. */
  int refusals;

  /** Faults of the service in a row; after some of them the job is given up. */
  int faults;

  /** Times that the service did not know what it had been told. */
  int timesForgotten;

  /** When the service was last asked whether it has ended the job. */
  long askedAtNanos = Long.MIN_VALUE;

  JobMirror(JobFacts facts) {
    this.facts = facts;
  }

  /** The job's name in the service. */
  String wireId() {
    return wireId(incarnation);
  }

  /** The job's name in the service, in one of its lives. */
  String wireId(int life) {
    String name = facts.jobId() + ofThisRun;
    return life == 1 ? name : name + "~" + life;
  }

  /**
   * The signature in the service. A later life repeats a part of the work alone and must not teach
   * the estimator what the whole would take.
   */
  String wireSignature() {
    return incarnation == 1 ? shape.signature() : "";
  }

  /**
   * Whether the service is about to hear all of it; false: it refuses, or needs to hear nothing.
   */
  boolean isBeingTold() {
    return !pausing && !isGivenUp();
  }

  /** Whether the service has no say in it any more: it takes nothing of it, or it is over there. */
  boolean isGivenUp() {
    return step == Step.REFUSED || step == Step.SETTLED;
  }

  /** Tasks of all its stages. */
  long taskCount() {
    long count = 0;
    for (StageMirror stage : stages.values()) {
      count += stage.facts.taskCount();
    }
    return count;
  }

  /** Forgets what the service was told, so that all is said again. */
  void sayAgain() {
    if (step == Step.SETTLED) {
      return;
    }
    step = Step.UNKNOWN;
    telling++;
    unreported = 0;
    pausing = false;
    for (StageMirror stage : stages.values()) {
      stage.announced = false;
      stage.dropTold = false;
      stage.untold.clear();
    }
  }

  /** Goes on under a new name: the service has ended the job, Spark has not. */
  void reincarnate() {
    incarnation++;
    sayAgain();
  }

  /** Lets go of all but the end. */
  void strip() {
    sayAgain();
    stages.clear();
    stripped = true;
  }
}
