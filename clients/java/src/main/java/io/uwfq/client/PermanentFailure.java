package io.uwfq.client;

/**
 * Throw it in a handler: no other attempt can succeed, so the job fails at once. Anything else that
 * is thrown is a failure that is worth another attempt.
 */
public class PermanentFailure extends RuntimeException {
  private static final long serialVersionUID = 1;

  /**
   * A failure for good.
   *
   * @param message why, for the people who will read it at the job
   */
  public PermanentFailure(String message) {
    super(message);
  }

  /**
   * A failure for good.
   *
   * @param message why, for the people who will read it at the job
   * @param cause for the worker's log
   */
  public PermanentFailure(String message, Throwable cause) {
    super(message, cause);
  }
}
