package io.uwfq.client;

import io.grpc.Status;
import io.uwfq.v1.Job;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Supplier;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * A publisher of jobs, pulled one by one by a thread that waits for each.
 *
 * <p>The publisher's threads put signals into a queue; the thread that consumes takes them out.
 */
final class JobStream implements Flow.Subscriber<Job>, Iterator<Job> {
  /** Each gives a job, gives null at the end, or throws. */
  private final BlockingQueue<Supplier<Job>> signals = new LinkedBlockingQueue<>();

  private Flow.Subscription subscription;

  // Of the consuming thread alone.
  private Job next;
  private boolean over;

  private JobStream() {}

  /** Subscribes at once; closing the stream cancels the subscription. */
  static Stream<Job> of(Flow.Publisher<Job> publisher) {
    JobStream jobs = new JobStream();
    publisher.subscribe(jobs);
    Spliterator<Job> spliterator =
        Spliterators.spliteratorUnknownSize(jobs, Spliterator.ORDERED | Spliterator.NONNULL);
    return StreamSupport.stream(spliterator, false).onClose(jobs::close);
  }

  /**
   * Maybe in another thread than the one that waits for the next signal: nothing else would come.
   */
  private void close() {
    subscription.cancel();
    onError(new UwfqException(Status.Code.CANCELLED, "the stream was closed", null));
  }

  @Override
  public void onSubscribe(Flow.Subscription subscription) {
    this.subscription = subscription;
  }

  @Override
  public void onNext(Job job) {
    signals.add(() -> job);
  }

  @Override
  public void onComplete() {
    signals.add(() -> null);
  }

  @Override
  public void onError(Throwable error) {
    signals.add(
        () -> {
          // The trace of the thread that reads the stream tells more than that of gRPC's.
          throw (RuntimeException) error.fillInStackTrace();
        });
  }

  @Override
  public boolean hasNext() {
    if (next == null && !over) {
      subscription.request(1);
      over = true; // Unless a job comes.
      next = take().get();
      over = next == null;
    }
    return next != null;
  }

  @Override
  public Job next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the job has ended");
    }
    Job job = next;
    next = null;
    return job;
  }

  private Supplier<Job> take() {
    try {
      return signals.take();
    } catch (InterruptedException interruption) {
      subscription.cancel();
      Thread.currentThread().interrupt();
      throw new UwfqException(
          Status.Code.CANCELLED, "interrupted while waiting for the job", interruption);
    }
  }
}
