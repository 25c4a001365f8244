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
  /** How far the service has been told in the present incarnation. */
  enum Step {
    /** Not submitted, or what was said is lost: everything is to be said (again). */
    UNKNOWN,
    /** Submitted and open. */
    OPEN,
    /** Ended there, or given up: nothing more is to be said. */
    SETTLED
  }

  final JobFacts facts;
  final Map<String, StageMirror> stages = new LinkedHashMap<>();

  /** Computed once, when the job is first submitted. */
  JobShape shape;

  Step step = Step.UNKNOWN;

  /** Whether a call about this job is in flight. */
  boolean calling;

  /** How it ended in Spark; null: it has not. */
  JobEnd end;

  /** The service's deadline; NaN before its first answer. */
  double deadline = Double.NaN;

  /** Counts the lives of the job in the service: it may have cancelled a former one. */
  int incarnation = 1;

  /** Starts and results that are not acknowledged yet. */
  int unreported;

  /** Rises whenever all is to be said again: answers to calls of before mean nothing then. */
  int life;

  /** Refusals in a row; the job waits for longer after each. */
  int refusals;

  JobMirror(JobFacts facts) {
    this.facts = facts;
  }

  /** The job's name in the service. */
  String wireId() {
    return incarnation == 1 ? facts.jobId() : facts.jobId() + "~" + incarnation;
  }

  /**
   * The signature in the service. A later life repeats a part of the work alone and must not teach
   * the estimator what the whole would take.
   */
  String wireSignature() {
    return incarnation == 1 ? shape.signature() : "";
  }

  /** Forgets what the service was told, so that all is said again. */
  void sayAgain() {
    step = Step.UNKNOWN;
    life++;
    for (StageMirror stage : stages.values()) {
      stage.announced = false;
      stage.dropTold = false;
    }
  }

  /** Goes on under a new name: the service has ended the job, Spark has not. */
  void reincarnate() {
    incarnation++;
    sayAgain();
  }
}
