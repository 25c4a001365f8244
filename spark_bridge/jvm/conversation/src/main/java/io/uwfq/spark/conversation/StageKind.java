package io.uwfq.spark.conversation;

/** What the tasks of a stage read; stages of one query and kind share their history. */
public enum StageKind {
  /** Files. */
  SCAN,
  /** Map output of other stages. */
  SHUFFLE,
  /** Anything else, or unknown. */
  OTHER
}
