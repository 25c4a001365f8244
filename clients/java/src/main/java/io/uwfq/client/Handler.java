package io.uwfq.client;

/**
 * Runs the tasks of one kind of jobs; called by several threads at once.
 *
 * <p>A task may run twice, as a worker that was cut off cannot know that another one has its task
 * by now. So a handler should be safe to repeat; each result counts once.
 */
@FunctionalInterface
public interface Handler {
  /**
   * Runs one attempt at one task. To return is to succeed.
   *
   * <p>The thread is interrupted, and {@link Task#cancelled} true, once the attempt is not wanted
   * any more: its job was cancelled or has failed, its time limit is reached, its lease is lost, or
   * the worker gives up.
   *
   * @param task what to do
   * @return what was measured; {@link Measurement#NONE} if nothing was
   * @throws PermanentFailure if no other attempt can succeed: the job fails at once
   * @throws Exception whatever it is, the attempt has failed, and the task is tried again, here or
   *     elsewhere, up to the stage's number of attempts
   */
  Measurement run(Task task) throws Exception;
}
