package io.uwfq.spark.conversation;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.RankingRequest;
import io.uwfq.v1.SchedulerServiceGrpc;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The conversation over gRPC.
 *
 * <p>Spark's threads put facts into a queue. One thread, the {@link Speaker}, owns the mirror of
 * all that is open, empties the queue, and makes every call without waiting for its answer, which
 * comes back to it as another event. So there are no locks, calls about different jobs overlap, and
 * a slow service slows nothing but its own picture.
 *
 * <pre>
 *   Spark -- facts --&gt; FactQueue --&gt; mirror --+-- JobTalk ---------&gt; jobs, stages, ends
 *                                          +-- AttemptReports --&gt; starts and ends of attempts
 *   Spark &lt;-- Standings -------- OrderPoll &lt;-- the order, a long poll; Contact goes by it
 * </pre>
 *
 * <p>While the service does not answer, the mirror alone is kept. When it answers again, or does
 * not know what it should, everything open is said once more; all calls are idempotent.
 */
public final class GrpcConversation implements Conversation {
  private static final Logger LOG = LoggerFactory.getLogger(GrpcConversation.class);

  /** Facts that may wait for the speaker. */
  private static final int MAX_QUEUED_FACTS = 200_000;

  /** Jobs whose end the service has not heard of, and their tasks: kept whole up to here. */
  private static final int MAX_ENDED_JOBS = 10_000;

  private static final long MAX_ENDED_TASKS = 2_000_000;

  /** Jobs beyond them of which the end alone is kept. */
  private static final int MAX_STRIPPED_JOBS = 20_000;

  /** Launches allowed ahead of a free slot, so that it need not stay idle for a round trip. */
  private static final int PREFETCHED_LAUNCHES = 4;

  /** Spark waits for the end of the conversation when it stops. */
  static final long CLOSE_MILLIS = 1_500;

  private final Settings settings;
  private final String engineId;
  private final long closeMillis;
  private final Figures figures = new Figures();
  private final Speaker speaker = new Speaker();
  private final Shapes shapes = new Shapes(speaker);
  private final Service service;
  private final Contact contact;
  private final Pace pace;
  private final FactQueue facts;
  private final JobTalk jobTalk;
  private final AttemptReports reports;
  private final SplitAnswers splitAnswers;
  private final OrderPoll order;
  private volatile boolean closed;
  private volatile IntSupplier sparkTasks = () -> Integer.MAX_VALUE;

  // The speaker's own, from here on.
  private final Map<String, JobMirror> jobs = new LinkedHashMap<>();
  private final Map<String, JobMirror> jobsByWireId = new HashMap<>();
  private final EndedJobs endedJobs =
      new EndedJobs(MAX_ENDED_JOBS, MAX_ENDED_TASKS, MAX_STRIPPED_JOBS, this::giveUp);
  private int slots;

  /**
   * A conversation over this channel, which it owns. It begins with {@link #start}.
   *
   * @param applicationId Spark's name of the application; a driver that is started again may have
   *     the one of before, so that the service is told a name of this run's own that begins with it
   */
  public GrpcConversation(Settings settings, String applicationId, ManagedChannel channel) {
    this(settings, applicationId, channel, System::nanoTime, CLOSE_MILLIS);
  }

  /** As above, with the clock that the age of the order is measured by, and a limit to the end. */
  GrpcConversation(
      Settings settings,
      String applicationId,
      ManagedChannel channel,
      LongSupplier nanoClock,
      long closeMillis) {
    Random random = new Random();
    this.settings = settings;
    this.closeMillis = closeMillis;
    this.engineId = applicationId + "-" + String.format("%08x", random.nextInt());
    this.service = new Service(channel, speaker, figures);
    this.contact = new Contact(settings.target(), figures, random);
    this.pace = new Pace(settings);
    this.reports =
        new AttemptReports(
            settings, service, speaker, pace, random, this::identify, new OfReports());
    this.facts =
        new FactQueue(MAX_QUEUED_FACTS, pace::gatherMillis, speaker, figures, reports::send);
    this.jobTalk =
        new JobTalk(settings, engineId, service, speaker, pace, shapes, random, new OfJobs());
    this.order =
        new OrderPoll(
            settings, service, speaker, contact, pace, nanoClock, this::identify, new OfOrder());
    this.splitAnswers = new SplitAnswers(settings, channel, figures, contact::answers, nanoClock);
  }

  /** Begins to talk. */
  public void start() {
    order.start();
  }

  // -- facts, from any thread --------------------------------------------------------------------

  @Override
  public void jobAppeared(JobFacts job) {
    bring(
        () -> {
          if (!jobs.containsKey(job.jobId())) {
            JobMirror mirror = new JobMirror(job);
            jobs.put(job.jobId(), mirror);
            jobsByWireId.put(mirror.wireId(), mirror);
            jobTalk.advance(mirror);
            if (pace.jobAppeared()) {
              List.copyOf(jobs.values()).forEach(jobTalk::advance);
              reports.hurry();
            }
          }
        });
  }

  @Override
  public void stageAppeared(StageFacts stage) {
    bring(
        () -> {
          JobMirror job = jobs.get(stage.key().jobId());
          if (job == null || job.end != null) {
            figures.droppedFacts.increment();
          } else if (job.stages.putIfAbsent(stage.key().stage(), new StageMirror(stage)) == null) {
            jobTalk.advance(job);
          }
        });
  }

  @Override
  public void taskStarted(TaskKey task) {
    long nowNanos = System.nanoTime();
    bringAttempt(
        () -> withStage(task.stage(), (job, stage) -> onStart(job, stage, task, nowNanos)));
  }

  @Override
  public void taskEnded(TaskKey task, TaskOutcome outcome) {
    bringAttempt(() -> withStage(task.stage(), (job, stage) -> onEnd(job, stage, task, outcome)));
  }

  @Override
  public void stageEnded(StageKey key) {
    bring(
        () ->
            withStage(
                key,
                (job, stage) -> {
                  if (!stage.isDone()) {
                    stage.dropped = true;
                    jobTalk.advance(job);
                  }
                }));
  }

  @Override
  public void jobEnded(String jobId, JobEnd end) {
    long nowNanos = System.nanoTime();
    bring(
        () -> {
          JobMirror job = jobs.get(jobId);
          if (job == null) {
            figures.droppedFacts.increment();
          } else if (job.end == null) {
            endAttempts(job, nowNanos);
            job.end = end;
            endedJobs.add(job);
            pace.jobEnded();
            reports.hurry(); // It is closed when all of it is acknowledged.
            jobTalk.advance(job);
          }
        });
  }

  @Override
  public void slotsChanged(int slots) {
    bring(
        () -> {
          if (this.slots != slots) {
            this.slots = slots;
            reports.tellIdentity();
          }
        });
  }

  private void bring(Runnable fact) {
    if (!closed) {
      facts.bring(fact);
    }
  }

  private void bringAttempt(Runnable fact) {
    if (!closed) {
      facts.bringAttempt(fact);
    }
  }

  // -- what is known, for any thread -------------------------------------------------------------

  @Override
  public Standings standings() {
    return order.standings();
  }

  @Override
  public OptionalInt launchLimit(StageKey stage) {
    return order.launchLimit(stage);
  }

  @Override
  public void onLaunchLimits(Runnable changed) {
    order.onLaunchLimits(changed);
  }

  @Override
  public void countRunningBy(IntSupplier sparkTasks) {
    this.sparkTasks = sparkTasks;
  }

  @Override
  public boolean mayAnswer() {
    return !closed && splitAnswers.mayAnswer();
  }

  @Override
  public OptionalInt taskCount(SplitQuestion question, Duration limit) {
    return closed ? OptionalInt.empty() : splitAnswers.taskCount(question, limit);
  }

  @Override
  public Figures figures() {
    return figures;
  }

  // -- the speaker -------------------------------------------------------------------------------

  private interface StageAction {
    void on(JobMirror job, StageMirror stage);
  }

  private void withStage(StageKey key, StageAction action) {
    JobMirror job = jobs.get(key.jobId());
    StageMirror stage = job == null ? null : job.stages.get(key.stage());
    if (stage == null) {
      figures.droppedFacts.increment();
    } else {
      action.on(job, stage);
    }
  }

  private void onStart(JobMirror job, StageMirror stage, TaskKey task, long nowNanos) {
    stage.startedAtNanos.put(StageMirror.attemptKey(task.index(), task.attempt()), nowNanos);
    if (stage.announced && job.step == JobMirror.Step.OPEN) {
      reports.started(job, stage, task.index(), task.attempt(), nowNanos);
    }
  }

  private void onEnd(JobMirror job, StageMirror stage, TaskKey task, TaskOutcome outcome) {
    stage.startedAtNanos.remove(StageMirror.attemptKey(task.index(), task.attempt()));
    if (!stage.announced && contact.answers() && job.isBeingTold()) {
      stage.keepUntold(task.index(), task.attempt(), outcome);
    }
    if (outcome instanceof TaskOutcome.Success) {
      stage.succeeded(task.index(), task.attempt(), outcome.runtimeSeconds());
    } else {
      stage.failed(task.index(), task.attempt(), outcome.runtimeSeconds());
    }
    if (stage.announced && job.step == JobMirror.Step.OPEN) {
      reports.ended(job, stage, task.index(), task.attempt(), outcome);
    }
  }

  /**
   * Of attempts that run when their job ends nobody hears any more. Without a word the service
   * would charge them for as long as it does not hear of the end.
   */
  private void endAttempts(JobMirror job, long nowNanos) {
    for (StageMirror stage : job.stages.values()) {
      Map.copyOf(stage.startedAtNanos)
          .forEach(
              (key, atNanos) -> {
                int index = StageMirror.indexOf(key);
                int attempt = StageMirror.attemptOf(key);
                double seconds = Math.max(0, (nowNanos - atNanos) / 1e9);
                TaskOutcome unfinished = new TaskOutcome.Failure(seconds, "its job has ended");
                onEnd(job, stage, new TaskKey(stage.facts.key(), index, attempt), unfinished);
              });
    }
  }

  private void giveUp(JobMirror job) {
    figures.droppedFacts.increment();
    job.step = JobMirror.Step.SETTLED;
    forget(job);
  }

  private void forget(JobMirror job) {
    endedJobs.remove(job);
    jobs.remove(job.facts.jobId(), job);
    jobsByWireId.remove(job.facts.jobId(), job);
    for (int life = 1; life <= job.incarnation; life++) {
      jobsByWireId.remove(job.wireId(life), job);
    }
    order.publishSoon();
  }

  private void identify(NextTaskRequest.Builder request) {
    request
        .setPool(settings.pool())
        .setWorkerId(engineId)
        .setSlots(Math.max(1, slots))
        .setFreeSlots(freeSlots());
  }

  /** Without a gate the order is all that is asked for, and it does not depend on what is free. */
  private int freeSlots() {
    int all = Math.max(1, slots);
    if (settings.gate() == Settings.Gate.NONE) {
      return all;
    }
    int running = 0;
    int widest = 1;
    for (JobMirror job : jobs.values()) {
      for (StageMirror stage : job.stages.values()) {
        running += stage.startedAtNanos.size() * stage.facts.slotsPerTask();
        widest = Math.max(widest, stage.facts.slotsPerTask());
      }
    }
    running = (int) Math.min(running, (long) sparkTasks.getAsInt() * widest);
    return Math.max(0, Math.min(all, all - running + PREFETCHED_LAUNCHES));
  }

  private final class OfOrder implements OrderPoll.Listener {
    @Override
    public void found() {
      splitAnswers.found();
      for (JobMirror job : List.copyOf(jobs.values())) {
        job.refusals = 0;
        job.timesForgotten = 0;
        job.faults = 0;
        jobTalk.advance(job);
      }
      reports.send();
    }

    @Override
    public void lost() {
      jobTalk.clear();
      reports.clear();
      jobs.values().forEach(JobMirror::sayAgain);
    }

    @Override
    public JobMirror job(String wireId) {
      return jobsByWireId.get(wireId);
    }

    @Override
    public Collection<JobMirror> jobs() {
      return jobs.values();
    }
  }

  private final class OfJobs implements JobTalk.Listener {
    @Override
    public boolean mayTalk() {
      return contact.answers();
    }

    @Override
    public void announced(JobMirror job, StageMirror stage) {
      reports.catchUp(job, stage);
      if (job.end != null) {
        reports.hurry();
      }
      reports.send();
    }

    @Override
    public void placed(JobMirror job) {
      order.noteDeadline(job, job.deadline);
      order.publishSoon();
    }

    @Override
    public void renamed(JobMirror job) {
      jobsByWireId.put(job.wireId(), job);
    }

    @Override
    public void settled(JobMirror job) {
      forget(job);
    }
  }

  private final class OfReports implements AttemptReports.Listener {
    @Override
    public boolean mayTalk() {
      return contact.answers();
    }

    @Override
    public void forgotten(JobMirror job) {
      jobTalk.forgotten(job);
    }

    @Override
    public void doubtful(JobMirror job) {
      jobTalk.doubt(job);
    }

    @Override
    public void failing(JobMirror job, Status status) {
      jobTalk.giveUp(job, status);
    }

    @Override
    public void ranked(Ranking ranking) {
      order.ranked(ranking);
    }

    @Override
    public void caughtUp(JobMirror job) {
      jobTalk.advance(job);
    }
  }

  // -- the end -----------------------------------------------------------------------------------

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    order.stop();
    long deadlineNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(closeMillis);
    boolean heard = contact.answers() && isAllSaid(closeMillis / 2);
    // Whatever else is sent now would make the service think that the engine is still there.
    speaker.stop();
    shapes.stop();
    if (heard) {
      sayGoodbye(Math.max(1, (deadlineNanos - System.nanoTime()) / 1_000_000));
    }
    service.channel().shutdownNow();
  }

  /** Says what Spark has said up to now, the last query's end above all; false: nobody listens. */
  private boolean isAllSaid(long limitMillis) {
    CompletableFuture<Void> said = new CompletableFuture<>();
    speaker.execute(
        () -> {
          facts.listen();
          endedJobs.whenNone(said);
        });
    try {
      said.get(limitMillis, TimeUnit.MILLISECONDS);
    } catch (TimeoutException | ExecutionException slow) {
      LOG.debug("the service has not heard of the end of every job", slow);
    } catch (InterruptedException hurried) {
      Thread.currentThread().interrupt();
      return false;
    }
    return contact.answers();
  }

  private void sayGoodbye(long limitMillis) {
    // Nothing else is read of a last poll.
    NextTaskRequest.Builder request =
        NextTaskRequest.newBuilder().setPool(settings.pool()).setWorkerId(engineId).setSlots(1);
    try {
      SchedulerServiceGrpc.newBlockingStub(service.channel())
          .withDeadlineAfter(limitMillis, TimeUnit.MILLISECONDS)
          .nextTask(request.setRanking(RankingRequest.newBuilder()).setLeaving(true).build());
    } catch (StatusRuntimeException unheard) {
      LOG.debug("goodbye was not heard", unheard);
    }
  }
}
