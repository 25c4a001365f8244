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
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The conversation over gRPC.
 *
 * <p>Facts go into a queue; one thread, the <em>speaker</em>, owns the mirror, empties the queue,
 * and makes every call without waiting for its answer, which comes back to it as another event. So
 * there are no locks, calls about different jobs overlap, and a slow service slows nothing but its
 * own picture. {@link JobTalk} tells of jobs and stages, {@link AttemptReports} of attempts, and
 * {@link OrderPoll} brings the {@link Standings}.
 *
 * <p>When the service answers again after a break, or does not know what it should, everything open
 * is said again; all calls are idempotent.
 */
public final class GrpcConversation implements Conversation {
  private static final Logger LOG = LoggerFactory.getLogger(GrpcConversation.class);

  /** Facts that may wait for the speaker; beyond it they are dropped and counted. */
  private static final int MAX_QUEUED_FACTS = 200_000;

  /** Jobs that have ended and could not be reported; beyond it the oldest are given up. */
  private static final int MAX_UNSETTLED_ENDS = 10_000;

  /** Facts that come within this time of each other go into one message. */
  private static final long GATHER_MILLIS = 5;

  /** Launches allowed ahead of a free slot, so that it need not stay idle for a round trip. */
  private static final int PREFETCHED_LAUNCHES = 4;

  private static final long CLOSE_MILLIS = 1_500;

  private final Settings settings;
  private final String engineId;
  private final Figures figures = new Figures();
  private final ScheduledExecutorService speaker;
  private final Service service;
  private final Contact contact;
  private final JobTalk jobTalk;
  private final AttemptReports reports;
  private final SplitAnswers splitAnswers;
  private final OrderPoll order;

  private final Queue<Runnable> facts = new ConcurrentLinkedQueue<>();
  private final AtomicInteger queuedFacts = new AtomicInteger();
  private final AtomicBoolean awake = new AtomicBoolean();
  private volatile boolean closed;

  // The speaker's own, from here on.
  private final Map<String, JobMirror> jobs = new HashMap<>();
  private final Map<String, JobMirror> jobsByWireId = new HashMap<>();
  private final Set<JobMirror> unsettledEnds = new LinkedHashSet<>();
  private int slots;

  /**
   * A conversation over this channel, which it owns. It begins with {@link #start}.
   *
   * @param engineId the name of this application's run, new at each start
   */
  public GrpcConversation(Settings settings, String engineId, ManagedChannel channel) {
    this.settings = settings;
    this.engineId = engineId;
    this.speaker =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "uwfq-conversation");
              thread.setDaemon(true);
              return thread;
            });
    this.service = new Service(channel, this.speaker, figures);
    this.contact = new Contact(settings.target(), figures, new Random());
    this.jobTalk = new JobTalk(settings, engineId, service, speaker, new OfJobs());
    this.reports = new AttemptReports(settings, service, this::identify, new OfReports());
    this.order = new OrderPoll(settings, service, speaker, contact, this::identify, new OfOrder());
    this.splitAnswers = new SplitAnswers(settings, channel, figures, contact::answers);
  }

  /** Begins to talk. */
  public void start() {
    order.start();
  }

  // -- facts, from any thread --------------------------------------------------------------------

  @Override
  public void jobAppeared(JobFacts job) {
    offer(
        () -> {
          if (!jobs.containsKey(job.jobId())) {
            JobMirror mirror = new JobMirror(job);
            jobs.put(job.jobId(), mirror);
            advance(mirror);
          }
        });
  }

  @Override
  public void stageAppeared(StageFacts stage) {
    offer(
        () -> {
          JobMirror job = jobs.get(stage.key().jobId());
          if (job == null || job.end != null) {
            figures.droppedFacts.increment();
          } else if (job.stages.putIfAbsent(stage.key().stage(), new StageMirror(stage)) == null) {
            advance(job);
          }
        });
  }

  @Override
  public void taskStarted(TaskKey task) {
    long nowNanos = System.nanoTime();
    offer(() -> withStage(task.stage(), (job, stage) -> onStart(job, stage, task, nowNanos)));
  }

  @Override
  public void taskEnded(TaskKey task, TaskOutcome outcome) {
    offer(() -> withStage(task.stage(), (job, stage) -> onEnd(job, stage, task, outcome)));
  }

  @Override
  public void stageEnded(StageKey key) {
    offer(
        () ->
            withStage(
                key,
                (job, stage) -> {
                  if (!stage.isDone()) {
                    stage.dropped = true;
                    advance(job);
                  }
                }));
  }

  @Override
  public void jobEnded(String jobId, JobEnd end) {
    offer(
        () -> {
          JobMirror job = jobs.get(jobId);
          if (job == null) {
            figures.droppedFacts.increment();
          } else if (job.end == null) {
            job.end = end;
            unsettledEnds.add(job);
            advance(job);
            giveUpOldest();
          }
        });
  }

  @Override
  public void slotsChanged(int slots) {
    offer(() -> this.slots = Math.max(0, slots));
  }

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
  public OptionalInt taskCount(SplitQuestion question, Duration limit) {
    return closed ? OptionalInt.empty() : splitAnswers.taskCount(question, limit);
  }

  @Override
  public Figures figures() {
    return figures;
  }

  private void offer(Runnable fact) {
    if (closed) {
      return;
    }
    if (queuedFacts.incrementAndGet() > MAX_QUEUED_FACTS) {
      queuedFacts.decrementAndGet();
      figures.droppedFacts.increment();
      return;
    }
    facts.add(fact);
    if (awake.compareAndSet(false, true)) {
      try {
        speaker.schedule(this::listen, GATHER_MILLIS, TimeUnit.MILLISECONDS);
      } catch (RejectedExecutionException over) {
        // close() came in between.
      }
    }
  }

  // -- the speaker -------------------------------------------------------------------------------

  /** Takes in what has been brought, then says it. */
  private void listen() {
    awake.set(false);
    Runnable fact;
    while ((fact = facts.poll()) != null) {
      queuedFacts.decrementAndGet();
      try {
        fact.run();
      } catch (RuntimeException ours) {
        figures.droppedFacts.increment();
        LOG.error("a fact about a job could not be taken in", ours);
      }
    }
    reports.send();
  }

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
    if (outcome instanceof TaskOutcome.Success && !stage.done.get(task.index())) {
      stage.done.set(task.index());
      stage.doneSeconds += outcome.runtimeSeconds();
    }
    if (stage.announced && job.step == JobMirror.Step.OPEN) {
      reports.ended(job, stage, task.index(), task.attempt(), outcome);
    }
  }

  private void advance(JobMirror job) {
    jobsByWireId.put(job.wireId(), job);
    jobTalk.advance(job);
  }

  private void giveUpOldest() {
    if (unsettledEnds.size() > MAX_UNSETTLED_ENDS) {
      JobMirror oldest = unsettledEnds.iterator().next();
      reports.forget(oldest);
      oldest.step = JobMirror.Step.SETTLED;
      forget(oldest);
    }
  }

  private void forget(JobMirror job) {
    unsettledEnds.remove(job);
    jobs.remove(job.facts.jobId(), job);
    jobsByWireId.values().removeIf(other -> other == job);
    order.publishSoon();
  }

  private void sayAgain(JobMirror job) {
    if (job.step != JobMirror.Step.SETTLED) {
      reports.forget(job);
      job.sayAgain();
      advance(job);
    }
  }

  private void heard() {
    splitAnswers.heard();
    order.heard();
    if (contact.heard()) {
      // It may be another process with another past: what it knows already it leaves as it is.
      for (JobMirror job : jobs.values().toArray(JobMirror[]::new)) {
        sayAgain(job);
      }
    }
  }

  private void lost(Status status) {
    contact.failed(Service.describe(status));
  }

  // -- for the talks -----------------------------------------------------------------------------

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
    for (JobMirror job : jobs.values()) {
      for (StageMirror stage : job.stages.values()) {
        running += stage.startedAtNanos.size() * stage.facts.slotsPerTask();
      }
    }
    return Math.max(0, Math.min(all, all - running + PREFETCHED_LAUNCHES));
  }

  private final class OfOrder implements OrderPoll.Listener {
    @Override
    public void heard() {
      GrpcConversation.this.heard();
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
    public void heard() {
      GrpcConversation.this.heard();
    }

    @Override
    public void lost(Status status) {
      GrpcConversation.this.lost(status);
    }

    @Override
    public void announced(JobMirror job, StageMirror stage) {
      reports.catchUp(job, stage);
      reports.send();
    }

    @Override
    public void placed(JobMirror job) {
      order.noteDeadline(job, job.deadline);
      jobsByWireId.put(job.wireId(), job);
      order.publishSoon();
    }

    @Override
    public boolean isReporting(JobMirror job) {
      return job.unreported > 0;
    }

    @Override
    public void settled(JobMirror job) {
      forget(job);
    }
  }

  private final class OfReports implements AttemptReports.Listener {
    @Override
    public void heard() {
      GrpcConversation.this.heard();
    }

    @Override
    public void lost(Status status) {
      GrpcConversation.this.lost(status);
    }

    @Override
    public void forgotten(JobMirror job) {
      sayAgain(job);
    }

    @Override
    public void ranked(Ranking ranking) {
      order.take(ranking);
    }

    @Override
    public void caughtUp(JobMirror job) {
      advance(job);
    }

    @Override
    public void free() {
      if (contact.answers()) {
        reports.send();
      } else {
        speaker.schedule(reports::send, settings.rpcTimeoutMillis() / 4, TimeUnit.MILLISECONDS);
      }
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
    long deadlineNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(CLOSE_MILLIS);
    if (contact.answers()) {
      try {
        // What Spark has said up to now is said first: the last query's end, above all.
        speaker.submit(this::listen).get(CLOSE_MILLIS / 3, TimeUnit.MILLISECONDS);
        awaitSettled(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(CLOSE_MILLIS / 3));
        sayGoodbye(Math.max(1, (deadlineNanos - System.nanoTime()) / 1_000_000));
      } catch (Exception slow) {
        LOG.debug("the service was left without a goodbye", slow);
        if (slow instanceof InterruptedException) {
          Thread.currentThread().interrupt();
        }
      }
    }
    speaker.shutdownNow();
    service.channel().shutdownNow();
  }

  /** Waits until the service knows of all that has ended. */
  private void awaitSettled(long untilNanos) throws Exception {
    while (System.nanoTime() < untilNanos
        && !speaker.submit(unsettledEnds::isEmpty).get(CLOSE_MILLIS / 3, TimeUnit.MILLISECONDS)) {
      TimeUnit.MILLISECONDS.sleep(GATHER_MILLIS);
    }
  }

  private void sayGoodbye(long limitMillis) {
    NextTaskRequest.Builder request = NextTaskRequest.newBuilder();
    identify(request);
    try {
      SchedulerServiceGrpc.newBlockingStub(service.channel())
          .withDeadlineAfter(limitMillis, TimeUnit.MILLISECONDS)
          .nextTask(request.setRanking(RankingRequest.newBuilder()).setLeaving(true).build());
    } catch (StatusRuntimeException unheard) {
      LOG.debug("goodbye was not heard", unheard);
    }
  }
}
