package io.uwfq.spark;

import io.uwfq.spark.conversation.Conversation;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * What the rules of SQL sessions need from the plugin that runs in the same driver.
 *
 * <p>Spark creates the two halves of the bridge apart from each other: {@code spark.plugins} when
 * the application starts, {@code spark.sql.extensions} once per session. They meet here. The plugin
 * installs a bridge when its conversation runs and uninstalls it when it stops; the rules ask for
 * the current one each time, and do nothing while there is none.
 *
 * @param conversation answers how finely to cut
 * @param partitioning the application's settings; a session may override some of them
 * @param user whose query the calling thread plans, from the thread's local properties; fast, never
 *     null
 */
public record Bridge(
    Conversation conversation, PartitioningSettings partitioning, Supplier<String> user) {

  private static volatile Bridge current;

  /** The bridge of the running plugin; empty before it runs, after it stopped, or without it. */
  public static Optional<Bridge> current() {
    return Optional.ofNullable(current);
  }

  /** Makes this the bridge of all sessions, in the place of any other. */
  public static synchronized void install(Bridge bridge) {
    current = bridge;
  }

  /** Takes this bridge away; does nothing if another one was installed since. */
  public static synchronized void uninstall(Bridge bridge) {
    if (current == bridge) {
      current = null;
    }
  }
}
