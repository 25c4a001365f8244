package io.uwfq.client;

import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.uwfq.v1.Job;
import io.uwfq.v1.SchedulerServiceGrpc;
import io.uwfq.v1.WatchJobRequest;
import io.uwfq.v1.WatchJobResponse;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;

/**
 * A job's progress as a publisher. A stream that breaks before the job has ended is opened anew,
 * and what the subscriber has asked for is asked for again; a job that did not change is not told
 * twice.
 */
final class JobWatch implements Flow.Publisher<Job> {
  private final Channel channel;
  private final WatchJobRequest request;
  private final Duration timeout;

  JobWatch(Channel channel, String jobId, Duration timeout) {
    Calls.requirePositive(timeout);
    this.channel = channel;
    this.request = WatchJobRequest.newBuilder().setJobId(jobId).build();
    this.timeout = timeout;
  }

  @Override
  public void subscribe(Flow.Subscriber<? super Job> subscriber) {
    Progress progress = new Progress(subscriber);
    subscriber.onSubscribe(progress);
    progress.open(new UwfqException(Status.Code.UNAVAILABLE, "the client is closed", null));
  }

  /** One subscriber's watch: one stream after another. Its own lock guards it. */
  private final class Progress implements Flow.Subscription {
    private final Flow.Subscriber<? super Job> subscriber;
    private final Backoff backoff = new Backoff(Backoff.Policy.DEFAULT);
    private final long deadlineNanos = System.nanoTime() + Calls.nanos(timeout);

    /** Asked for and not told yet. */
    private long demand;

    /** The stream that is open; or null. */
    private ClientCallStreamObserver<WatchJobRequest> stream;

    private Job last;
    private boolean over;

    Progress(Flow.Subscriber<? super Job> subscriber) {
      this.subscriber = subscriber;
    }

    @Override
    public void request(long count) {
      if (count <= 0) {
        end(new IllegalArgumentException("request at least one job, not " + count));
        return;
      }
      synchronized (this) {
        demand = demand + count < 0 ? Long.MAX_VALUE : demand + count;
        if (stream != null) {
          stream.request((int) Math.min(count, Integer.MAX_VALUE));
        }
      }
    }

    @Override
    public void cancel() {
      ClientCallStreamObserver<WatchJobRequest> open = finish();
      if (open != null) {
        open.cancel("nobody watches any more", null);
      }
    }

    /** Opens a stream, unless the client was closed: then nobody would tell how that has ended. */
    private void open(UwfqException otherwise) {
      if (channel instanceof ManagedChannel managed && managed.isShutdown()) {
        end(otherwise);
      } else {
        open();
      }
    }

    /** Holds the lock until the stream has started, as nothing can be requested of it before. */
    private synchronized void open() {
      if (!over) {
        SchedulerServiceGrpc.newStub(channel)
            .withDeadlineAfter(deadlineNanos - System.nanoTime(), TimeUnit.NANOSECONDS)
            .watchJob(request, new Stream());
      }
    }

    /** The next thing to tell, unless it is nothing new. Null: it is not. */
    private synchronized Job news(Job job) {
      backoff.reset();
      if (over || job.equals(last)) {
        return null;
      }
      last = job;
      demand = demand == Long.MAX_VALUE ? demand : demand - 1;
      return job;
    }

    private void told(Job job) {
      if (Jobs.hasEnded(job) && finish() != null) {
        subscriber.onComplete();
      }
    }

    private void broken(UwfqException error) {
      Duration wait;
      synchronized (this) {
        stream = null;
        if (over) {
          return;
        }
        wait = backoff.next(error.retryAfter());
      }
      boolean transientError =
          error.code() == Status.Code.UNAVAILABLE && !TrustCheck.isDistrust(error)
              // A service that ends cancels what it had begun. Our own cancelling is `over`.
              || error.code() == Status.Code.CANCELLED
              // More watch than the service takes: it says when to come back.
              || (error.code() == Status.Code.RESOURCE_EXHAUSTED && error.retryAfter().isPresent());
      if (!transientError || deadlineNanos - System.nanoTime() <= Calls.nanos(wait)) {
        end(error);
        return;
      }
      CompletableFuture.delayedExecutor(wait.toNanos(), TimeUnit.NANOSECONDS)
          .execute(() -> open(error));
    }

    private void end(Throwable error) {
      ClientCallStreamObserver<WatchJobRequest> open;
      synchronized (this) {
        if (over) {
          return;
        }
        open = finish();
      }
      if (open != null) {
        open.cancel("the watch is over", error);
      }
      subscriber.onError(error);
    }

    /** Lets nothing more happen. The stream that was open; or null. */
    private synchronized ClientCallStreamObserver<WatchJobRequest> finish() {
      over = true;
      ClientCallStreamObserver<WatchJobRequest> open = stream;
      stream = null;
      return open;
    }

    /** One stream of the service. */
    private final class Stream
        implements ClientResponseObserver<WatchJobRequest, WatchJobResponse> {
      private ClientCallStreamObserver<WatchJobRequest> self;

      @Override
      public void beforeStart(ClientCallStreamObserver<WatchJobRequest> opened) {
        // Within `open`, under its lock.
        self = opened;
        stream = opened;
        opened.disableAutoRequestWithInitial((int) Math.min(demand, Integer.MAX_VALUE));
      }

      @Override
      public void onNext(WatchJobResponse response) {
        Job job = news(response.getJob());
        if (job == null) {
          self.request(1);
          return;
        }
        try {
          subscriber.onNext(job);
        } catch (RuntimeException defect) {
          end(defect);
          return;
        }
        told(job);
      }

      @Override
      public void onError(Throwable error) {
        broken(UwfqException.from(error));
      }

      @Override
      public void onCompleted() {
        broken(
            new UwfqException(
                Status.Code.UNAVAILABLE,
                "the service ended the watch before the job had ended",
                null));
      }
    }
  }
}
