package io.uwfq.spark.conversation;

import io.grpc.Status;
import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.CancelJobRequest;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.DropStagesRequest;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.Job;
import io.uwfq.v1.SchedulerServiceGrpc.SchedulerServiceStub;
import io.uwfq.v1.SubmitJobRequest;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the service of jobs and their stages, one call per job at a time, the next step of each
 * being read off its mirror.
 *
 * <p>Nothing is remembered of what is still to be said but the mirror itself, so that saying it all
 * again is no other case than saying it for the first time. Confined to the speaker's thread.
 */
final class JobTalk {
  private static final Logger LOG = LoggerFactory.getLogger(JobTalk.class);
  private static final long FIRST_DELAY_MILLIS = 100;
  private static final long LAST_DELAY_MILLIS = 5_000;

  /** Calls under way at once: after a break there may be thousands of jobs to tell. */
  private static final int MAX_CALLS = 200;

  private static final int MAX_LIVES = 5;

  /** Times that the end of a job is said in vain before it is given up. */
  private static final int MAX_REFUSED_ENDS = 10;

  /** Faults of the service in a row that one job may meet with before it is given up. */
  private static final int MAX_FAULTS = 5;

  private static final int MAX_REASON_CHARACTERS = 1_000;

  /** Stages in one message have no more tasks than this: sizes of tasks fill some bytes each. */
  private static final long MAX_TASKS_AT_ONCE = 1_000_000;

  private static final long ASK_AGAIN_NANOS = TimeUnit.SECONDS.toNanos(5);

  /** What follows from answers, for the rest of the conversation. */
  interface Listener {
    /** Whether there is anybody to talk to. */
    boolean mayTalk();

    /** The service has acknowledged a stage: its attempts can be reported. */
    void announced(JobMirror job, StageMirror stage);

    /** The service's deadline of a job has become known or has changed. */
    void placed(JobMirror job);

    /** The job goes by another name in the service. */
    void renamed(JobMirror job);

    /** Nothing more will be said of the job. */
    void settled(JobMirror job);
  }

  private final Settings settings;
  private final String engineId;
  private final Service service;
  private final Speaker speaker;
  private final Pace pace;
  private final Shapes shapes;
  private final RandomGenerator random;
  private final Listener listener;
  private final Set<JobMirror> queued = new LinkedHashSet<>();
  private int calls;
  private boolean refusalLogged;

  JobTalk(
      Settings settings,
      String engineId,
      Service service,
      Speaker speaker,
      Pace pace,
      Shapes shapes,
      RandomGenerator random,
      Listener listener) {
    this.settings = settings;
    this.engineId = engineId;
    this.service = service;
    this.speaker = speaker;
    this.pace = pace;
    this.shapes = shapes;
    this.random = random;
    this.listener = listener;
  }

  /** Says the next thing that is to be said of a job, if none is being said. */
  void advance(JobMirror job) {
    if (job.step == JobMirror.Step.UNKNOWN && job.end != null && isNotWorthTelling(job)) {
      job.step = JobMirror.Step.SETTLED;
    }
    if (job.step == JobMirror.Step.SETTLED) {
      if (job.end != null) {
        listener.settled(job);
      }
    } else if (!job.calling && !job.pausing && listener.mayTalk()) {
      if (calls < MAX_CALLS) {
        talk(job);
      } else {
        queued.add(job);
      }
    }
  }

  /** It has come and gone, and took no slot. */
  private static boolean isNotWorthTelling(JobMirror job) {
    return job.stages.isEmpty() && !job.maybeKnown;
  }

  /** Nobody listens any more: what waits for its turn will be told anew. */
  void clear() {
    queued.clear();
  }

  /** The service may have ended the job: it is asked, but not all the time. */
  void doubt(JobMirror job) {
    boolean askedLately =
        job.askedAtNanos != Long.MIN_VALUE
            && System.nanoTime() - job.askedAtNanos < ASK_AGAIN_NANOS;
    if (job.step == JobMirror.Step.OPEN && job.end == null && !job.calling && !askedLately) {
      ask(job);
    }
  }

  /**
   * The service does not know what it was told: it is told again, each time after a longer pause.
   */
  void forgotten(JobMirror job) {
    job.sayAgain();
    pause(job, backoffMillis(job.timesForgotten++));
  }

  private void talk(JobMirror job) {
    switch (job.step) {
      case UNKNOWN -> {
        if (job.stripped) {
          end(job);
        } else if (job.shape == null) {
          findShape(job);
        } else {
          submit(job);
        }
      }
      case DOUBTFUL -> ask(job);
      case OPEN -> {
        boolean quiet = job.unreported == 0;
        if (!addStages(job) && quiet && !dropStages(job) && job.end != null) {
          end(job);
        }
      }
      case REFUSED -> {
        if (job.end != null) {
          end(job);
        }
      }
      case SETTLED -> throw new IllegalStateException("nothing is said of a settled job");
    }
  }

  private void findShape(JobMirror job) {
    job.calling = true;
    shapes.find(
        job.facts,
        shape -> {
          job.calling = false;
          job.shape = shape;
          advance(job);
        });
  }

  private void submit(JobMirror job) {
    if (job.labels == null) {
      job.labels = job.facts.labels().get(); // The same each time: else it is another submission.
    }
    SubmitJobRequest.Builder request =
        SubmitJobRequest.newBuilder()
            .setPool(settings.pool())
            .setUser(job.facts.user())
            .setJobId(job.wireId())
            .setKind("spark")
            .setSignature(job.wireSignature())
            .putAllLabels(job.labels)
            .setOpen(true)
            .setEngineId(engineId);
    job.facts.weight().ifPresent(request::setJobWeight);
    job.shape.inputBytes().ifPresent(request::setInputBytes);
    call(
        job,
        SchedulerServiceStub::submitJob,
        request.build(),
        answer -> {
          job.maybeKnown = true;
          // What was submitted before may have been ended since; then only some calls are refused.
          job.step = answer.getDuplicate() ? JobMirror.Step.DOUBTFUL : JobMirror.Step.OPEN;
          if (answer.hasVirtualDeadline()) {
            place(job, answer.getVirtualDeadline());
          }
        });
  }

  private void ask(JobMirror job) {
    job.askedAtNanos = System.nanoTime();
    call(
        job,
        SchedulerServiceStub::getJob,
        GetJobRequest.newBuilder().setJobId(job.wireId()).build(),
        answer -> {
          if (isEnded(answer.getJob())) {
            startAnew(job);
          } else {
            job.step = JobMirror.Step.OPEN;
          }
        });
  }

  private static boolean isEnded(Job job) {
    return switch (job.getState()) {
      case JOB_STATE_SUCCEEDED, JOB_STATE_FAILED, JOB_STATE_CANCELLED -> true;
      default -> false;
    };
  }

  /** Announces what the service has not acknowledged; false: there is nothing, or it can wait. */
  private boolean addStages(JobMirror job) {
    List<StageMirror> fresh = new ArrayList<>();
    AddStagesRequest.Builder request = AddStagesRequest.newBuilder().setJobId(job.wireId());
    long tasks = 0;
    for (StageMirror stage : job.stages.values()) {
      if (!stage.announced && !stage.isVoid()) {
        tasks += stage.facts.taskCount();
        if (!fresh.isEmpty() && tasks > MAX_TASKS_AT_ONCE) {
          break;
        }
        fresh.add(stage);
        request.addStages(stage.spec(job.wireSignature()));
      }
    }
    if (fresh.isEmpty() || canWait(job)) {
      return false;
    }
    call(
        job,
        SchedulerServiceStub::addStages,
        request.setOmitRanges(true).build(),
        answer -> {
          for (StageMirror stage : fresh) {
            stage.announced = true;
            listener.announced(job, stage);
          }
          if (answer.hasVirtualDeadline()) {
            place(job, answer.getVirtualDeadline());
          }
        });
    return true;
  }

  /** Whether more stages are waited for that could share the message; if so, for how long. */
  private boolean canWait(JobMirror job) {
    long millis = pace.announceMillis();
    if (millis == 0 || job.gathered || job.end != null) {
      job.gathered = false;
      return false;
    }
    if (!job.gathering) {
      job.gathering = true;
      speaker.after(
          millis,
          () -> {
            job.gathering = false;
            job.gathered = true;
            advance(job);
          });
    }
    return true;
  }

  /** Says which stages Spark has left unfinished; false: none, or their job is over anyway. */
  private boolean dropStages(JobMirror job) {
    List<StageMirror> left = new ArrayList<>();
    DropStagesRequest.Builder request = DropStagesRequest.newBuilder().setJobId(job.wireId());
    for (StageMirror stage : job.stages.values()) {
      if (stage.announced && stage.dropped && !stage.dropTold && job.end == null) {
        left.add(stage);
        request.addStages(stage.facts.key().stage());
      }
    }
    if (left.isEmpty()) {
      return false;
    }
    call(
        job,
        SchedulerServiceStub::dropStages,
        request.build(),
        answer -> left.forEach(stage -> stage.dropTold = true));
    return true;
  }

  private void end(JobMirror job) {
    job.ending = true;
    if (job.end.succeeded()) {
      var request = CloseJobRequest.newBuilder().setJobId(job.wireId()).setFinished(true).build();
      call(job, SchedulerServiceStub::closeJob, request, answer -> settle(job));
    } else {
      String reason = job.end.reason();
      var request =
          CancelJobRequest.newBuilder()
              .setJobId(job.wireId())
              .setReason(Texts.cut(reason, MAX_REASON_CHARACTERS))
              .build();
      call(job, SchedulerServiceStub::cancelJob, request, answer -> settle(job));
    }
  }

  private void place(JobMirror job, double deadline) {
    job.deadline = deadline;
    listener.placed(job);
  }

  private static void settle(JobMirror job) {
    job.step = JobMirror.Step.SETTLED;
  }

  private <Q, A> void call(
      JobMirror job, Service.Call<Q, A> call, Q request, Consumer<A> answered) {
    int telling = job.telling;
    job.calling = true;
    calls++;
    service.call(
        call,
        request,
        settings.rpcTimeoutMillis(),
        answer -> {
          over(job);
          job.ending = false;
          if (telling == job.telling) { // Else: all is being said again, this answer is of before.
            job.refusals = 0;
            job.faults = 0;
            answered.accept(answer);
          }
          advance(job);
        },
        status -> {
          over(job);
          job.maybeKnown |= Service.isOutOfReach(status);
          if (telling == job.telling) {
            refused(job, status);
          }
          job.ending = false;
          advance(job);
        });
  }

  private void over(JobMirror job) {
    job.calling = false;
    calls--;
    if (!queued.isEmpty()) {
      JobMirror next = queued.iterator().next();
      queued.remove(next);
      speaker.execute(() -> advance(next));
    }
  }

  /** A call about a job has failed: goes on in the way that the status asks for. */
  private void refused(JobMirror job, Status status) {
    if (Service.isOutOfReach(status)) {
      // A service that answers the polls meanwhile, and fails here, does not get over this job.
      boolean hopeless = Service.isFault(status) && ++job.faults > MAX_FAULTS;
      if (hopeless || (job.ending && job.refusals >= MAX_REFUSED_ENDS)) {
        giveUp(job, status);
      } else {
        pause(job, OptionalLong.empty());
      }
      return;
    }
    switch (status.getCode()) {
      case RESOURCE_EXHAUSTED -> {
        if (job.end != null && !job.maybeKnown) {
          settle(job); // The service was too busy for it as long as it ran.
        } else {
          pause(job, Service.retryDelayMillis(status));
        }
      }
      case NOT_FOUND -> {
        if (job.stripped || (job.end != null && job.refusals + job.timesForgotten > 0)) {
          settle(job);
        } else if (job.step == JobMirror.Step.UNKNOWN) {
          pause(job, OptionalLong.empty()); // It is the pool that the service does not know.
        } else {
          forgotten(job);
        }
      }
      case ALREADY_EXISTS, FAILED_PRECONDITION -> {
        if (isAnotherRuns(job, status)) {
          job.ofThisRun = "~" + engineId.substring(engineId.lastIndexOf('-') + 1);
          listener.renamed(job);
        } else if (isNotTaken(job, status)) {
          giveUp(job, status);
        } else {
          startAnew(job);
          pause(job, OptionalLong.empty());
        }
      }
      default -> giveUp(job, status);
    }
  }

  /** Whether a job that was never told is known already. */
  private static boolean isAnotherRuns(JobMirror job, Status status) {
    return status.getCode() == Status.Code.ALREADY_EXISTS
        && !job.maybeKnown
        && job.ofThisRun.isEmpty();
  }

  /** Whether it is the submission that is refused (the pool has no room for its user, say). */
  private static boolean isNotTaken(JobMirror job, Status status) {
    return status.getCode() == Status.Code.FAILED_PRECONDITION
        && job.step == JobMirror.Step.UNKNOWN
        && !job.stripped;
  }

  /** The service has ended this life of the job, having heard nothing of us for too long. */
  private void startAnew(JobMirror job) {
    if (job.end != null || job.incarnation >= MAX_LIVES) {
      settle(job);
    } else {
      job.reincarnate();
      listener.renamed(job);
    }
  }

  /** The job runs unscheduled; if the service may have it open, it is still told of the end. */
  void giveUp(JobMirror job, Status status) {
    if (!refusalLogged) {
      refusalLogged = true;
      LOG.warn(
          "UWFQ service refuses job {} of user {}: {}. It runs behind its user's other jobs (said"
              + " once)",
          job.facts.jobId(),
          job.facts.user(),
          Service.describe(status));
    }
    if (job.step != JobMirror.Step.REFUSED) {
      service.figures().givenUpJobs.increment();
    }
    job.step = job.maybeKnown && !job.ending ? JobMirror.Step.REFUSED : JobMirror.Step.SETTLED;
    place(job, Double.NaN);
  }

  private void pause(JobMirror job, OptionalLong askedMillis) {
    long millis =
        askedMillis.isPresent()
            ? Backoff.jittered(2 * askedMillis.getAsLong(), random)
            : backoffMillis(job.refusals);
    job.refusals++;
    pause(job, millis);
  }

  private long backoffMillis(int failures) {
    return Backoff.millis(FIRST_DELAY_MILLIS, LAST_DELAY_MILLIS, failures, random);
  }

  private void pause(JobMirror job, long millis) {
    int telling = job.telling;
    job.pausing = true;
    speaker.after(
        millis,
        () -> {
          if (telling == job.telling) {
            job.pausing = false;
          }
          advance(job);
        });
  }
}
