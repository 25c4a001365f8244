package io.uwfq.spark;

import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.JobEnd;
import io.uwfq.spark.conversation.JobFacts;
import io.uwfq.spark.conversation.JobShape;
import io.uwfq.spark.conversation.Settings;
import io.uwfq.spark.conversation.Settings.UserSource;
import io.uwfq.spark.conversation.StageFacts;
import io.uwfq.spark.conversation.StageKey;
import io.uwfq.spark.conversation.TaskKey;
import io.uwfq.spark.conversation.TaskOutcome;
import io.uwfq.spark.conversation.Texts;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.IntPredicate;
import java.util.function.LongFunction;
import java.util.function.LongPredicate;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes facts for the service of what Spark shows, and knows which job each stage belongs to.
 *
 * <p>A job of the service is a query (all Spark jobs of one root execution that runs, and of its
 * user), or a Spark job that belongs to no query. Spark shows it twice: the scheduler's pool sees
 * the stages' task sets at once, the listener sees everything else a little later. Whoever sees a
 * job first announces it.
 *
 * <p>Only a stage whose user is not known yet waits, for the listener: see {@link Users#resolve}.
 *
 * <p>Safe from any thread; holds its lock for the update of a few maps only.
 */
public final class JobTracker {
  /** Local property, Spark's: the query that a Spark job belongs to. A session can set it, too. */
  static final String ROOT_EXECUTION_PROPERTY = "spark.sql.execution.root.id";

  /**
   * Local property that only {@link NoteUser} sets, and no client can: there is a setting of the
   * session in the place of Spark's {@link #ROOT_EXECUTION_PROPERTY}.
   */
  static final String ROOT_IS_SET_PROPERTY = "uwfq.rootIsSet";

  private static final int MAX_LABEL_CHARACTERS = 256;

  /** Queries whose end is remembered: a Spark job that comes after it is a job of its own. */
  private static final int MAX_ENDED_QUERIES = 10_000;

  /** Descriptions that are remembered, should the ends of their executions be lost. */
  private static final int MAX_DESCRIPTIONS = 1_000;

  /** Wrong weights that are told of. */
  private static final int MAX_WRONG_WEIGHTS = 100;

  private static final Logger LOG = LoggerFactory.getLogger(JobTracker.class);

  /**
   * A task set as the pool sees it.
   *
   * @param sparkJobId the Spark job that it runs for
   * @param properties the Spark job's local properties; null: none
   * @param callSite what the Spark job was called from, for people and as a signature
   */
  public record TaskSetSeen(
      int sparkJobId,
      Properties properties,
      String callSite,
      int stageId,
      int stageAttempt,
      int taskCount,
      int slotsPerTask,
      StageInputs inputs) {}

  /** A stage attempt and, once that is known, its job and its user. */
  public static final class TrackedStage {
    private final TaskSetSeen seen;
    private volatile StageKey key;
    private volatile String user = "";

    private TrackedStage(TaskSetSeen seen) {
      this.seen = seen;
    }

    /** Its name for the service; null while the user is not known. */
    public StageKey key() {
      return key;
    }

    /** Whose it is; "" while that is not known. */
    public String user() {
      return user;
    }
  }

  private static <V> Map<Long, V> ofTheLatest(int most) {
    return new LinkedHashMap<>() {
      @Override
      protected boolean removeEldestEntry(Map.Entry<Long, V> eldest) {
        return size() > most;
      }
    };
  }

  private record StageAttempt(int stageId, int attempt) {}

  /** A job of the service that is open. */
  private static final class Job {
    final String id;
    final String user;
    final boolean isQuery;
    final List<StageAttempt> stages = new ArrayList<>();

    /** Its Spark jobs that are not over. */
    int sparkJobs;

    /** What people call it; null: nobody has said. */
    volatile String description;

    /** How it ended, though Spark jobs of it may run on; null: it has not. */
    JobEnd end;

    Job(String id, String user, boolean isQuery) {
      this.id = id;
      this.user = user;
      this.isQuery = isQuery;
    }
  }

  private final String applicationId;
  private final Conversation conversation;
  private final Users users;
  private final OptionalDouble configuredWeight;
  private final LongPredicate runningQueries;
  private final LongFunction<JobShape> queryShapes;
  private final Map<Optional<UserSource>, LongAdder> jobsBySource = new HashMap<>();

  private final Map<Integer, Job> jobBySparkJob = new HashMap<>();
  private final Map<Long, Job> jobByQuery = new HashMap<>();
  private final Map<StageAttempt, TrackedStage> stages = new HashMap<>();
  private final Map<Integer, List<TrackedStage>> waitingForUser = new HashMap<>();
  private final Map<Long, Boolean> endedQueries = ofTheLatest(MAX_ENDED_QUERIES);

  /** Of executions that run, should they turn out to be queries with Spark jobs. */
  private final Map<Long, String> descriptionByQuery = ofTheLatest(MAX_DESCRIPTIONS);

  /** Those that were told of. */
  private final Set<String> wrongWeights = ConcurrentHashMap.newKeySet();

  /** What {@link #endWhatIsOver} found over the last time. */
  private Set<Integer> sparkJobsOver = Set.of();

  private Set<Long> queriesOver = Set.of();

  /**
   * @param applicationId Spark's; the first part of each job's name
   * @param configuredWeight of a job whose submitter says nothing; empty: 1
   * @param runningQueries whether a query runs now, by its root execution id; fast
   * @param queryShapes what a query runs, by its root execution id; called outside of Spark's
   *     threads
   */
  public JobTracker(
      String applicationId,
      Conversation conversation,
      Users users,
      OptionalDouble configuredWeight,
      LongPredicate runningQueries,
      LongFunction<JobShape> queryShapes) {
    this.applicationId = applicationId;
    this.conversation = conversation;
    this.users = users;
    this.configuredWeight = configuredWeight;
    this.runningQueries = runningQueries;
    this.queryShapes = queryShapes;
    jobsBySource.put(Optional.empty(), new LongAdder());
    for (UserSource source : UserSource.values()) {
      jobsBySource.put(Optional.of(source), new LongAdder());
    }
  }

  /** Jobs whose user came from this source; empty: jobs of the default user. */
  long jobs(Optional<UserSource> source) {
    return jobsBySource.get(source).sum();
  }

  /** Spark is about to run the tasks of a stage. Called under Spark's scheduler lock. */
  public synchronized TrackedStage taskSetAppeared(TaskSetSeen seen) {
    StageAttempt attempt = new StageAttempt(seen.stageId(), seen.stageAttempt());
    TrackedStage stage = new TrackedStage(seen);
    stages.put(attempt, stage);
    Job job = jobBySparkJob.get(seen.sparkJobId());
    if (job == null) {
      Optional<Users.User> user = users.resolve(seen.properties());
      if (user.isEmpty()) {
        waitingForUser.computeIfAbsent(seen.sparkJobId(), id -> new ArrayList<>()).add(stage);
        return stage;
      }
      job = openJob(seen.sparkJobId(), seen.properties(), seen.callSite(), user.get());
    }
    announce(stage, job);
    return stage;
  }

  /** A Spark job has started; its stages come, or are here already. */
  void sparkJobStarted(int sparkJobId, Properties properties, String callSite) {
    warnOfWeight(properties);
    started(sparkJobId, properties, callSite);
  }

  private synchronized void started(int sparkJobId, Properties properties, String callSite) {
    if (!jobBySparkJob.containsKey(sparkJobId)) {
      Job job = openJob(sparkJobId, properties, callSite, users.resolveNow(properties));
      List<TrackedStage> waiting = waitingForUser.remove(sparkJobId);
      if (waiting != null) {
        waiting.forEach(stage -> announce(stage, job));
      }
    }
  }

  /** A Spark job is over. If it belongs to a query, the query goes on. */
  synchronized void sparkJobEnded(int sparkJobId, JobEnd end) {
    Job job = jobBySparkJob.remove(sparkJobId);
    List<TrackedStage> waiting = waitingForUser.remove(sparkJobId);
    if (waiting != null) {
      waiting.forEach(
          stage ->
              stages.remove(new StageAttempt(stage.seen.stageId(), stage.seen.stageAttempt())));
    }
    if (job != null) {
      job.sparkJobs--;
      if (!job.isQuery) {
        job.end = end;
      }
      closeIfOver(job);
    }
  }

  /**
   * An execution has begun. Spark calls it what its submitter does, or the place in the code that
   * it comes from; its Spark jobs may come from a thread of Spark's own, whose place tells nobody
   * anything.
   */
  synchronized void executionStarted(long executionId, String description) {
    Job job = jobByQuery.get(executionId);
    if (job == null) {
      descriptionByQuery.put(executionId, cut(description));
    } else if (job.description == null) { // the pool has seen it before
      job.description = cut(description);
    }
  }

  /**
   * An execution is over: if it is a root, so is its query, once no Spark job of it runs on. What
   * these still take is its user's.
   */
  synchronized void executionEnded(long executionId, JobEnd end) {
    Job job = jobByQuery.remove(executionId);
    descriptionByQuery.remove(executionId);
    endedQueries.put(executionId, true);
    if (job != null) {
      job.end = end;
      closeIfOver(job);
    }
  }

  /**
   * Ends what is over without a word, for Spark's bus drops events when a queue of it is full. To
   * be called now and then; the word may be on its way the first time that something is found over,
   * but not the second time in a row. O(what is open).
   *
   * @param sparkJobRuns whether Spark runs a Spark job
   */
  synchronized void endWhatIsOver(IntPredicate sparkJobRuns) {
    Set<Integer> sparkJobs = new HashSet<>(jobBySparkJob.keySet());
    sparkJobs.addAll(waitingForUser.keySet());
    sparkJobs.removeIf(sparkJobRuns::test);
    Set<Long> queries = new HashSet<>(jobByQuery.keySet());
    queries.removeIf(runningQueries::test);
    for (int sparkJob : sparkJobs) {
      if (sparkJobsOver.contains(sparkJob)) {
        conversation.figures().droppedFacts.increment();
        sparkJobEnded(sparkJob, JobEnd.SUCCEEDED);
      }
    }
    for (long query : queries) {
      if (queriesOver.contains(query)) {
        conversation.figures().droppedFacts.increment();
        executionEnded(query, JobEnd.SUCCEEDED);
      }
    }
    sparkJobsOver = sparkJobs;
    queriesOver = queries;
  }

  /** A task attempt was launched; {@code attempt} counts from 1. */
  void taskStarted(int stageId, int stageAttempt, int index, int attempt) {
    TaskKey task = taskKey(stageId, stageAttempt, index, attempt);
    if (task != null) {
      conversation.taskStarted(task);
    }
  }

  /** A task attempt has ended. */
  void taskEnded(int stageId, int stageAttempt, int index, int attempt, TaskOutcome outcome) {
    TaskKey task = taskKey(stageId, stageAttempt, index, attempt);
    if (task != null) {
      conversation.taskEnded(task, outcome);
    }
  }

  /** Spark starts no more tasks of a stage attempt; those that run may still end. */
  synchronized void stageEnded(int stageId, int stageAttempt) {
    TrackedStage stage = stages.get(new StageAttempt(stageId, stageAttempt));
    if (stage != null && stage.key != null) {
      conversation.stageEnded(stage.key);
    }
  }

  /** The task's name; null if its job is over: stragglers of it interest nobody. */
  private synchronized TaskKey taskKey(int stageId, int stageAttempt, int index, int attempt) {
    TrackedStage stage = stages.get(new StageAttempt(stageId, stageAttempt));
    if (stage == null) {
      return null;
    }
    if (stage.key == null) { // its job's start was lost on the way
      TaskSetSeen seen = stage.seen;
      started(seen.sparkJobId(), seen.properties(), seen.callSite());
    }
    return stage.key == null ? null : new TaskKey(stage.key, index, attempt);
  }

  private Job openJob(int sparkJobId, Properties properties, String callSite, Users.User user) {
    OptionalLong query = rootExecution(properties);
    Job job = query.isPresent() ? jobByQuery.get(query.getAsLong()) : null;
    // A session can set the property: nobody's work runs under the name of somebody else's query,
    // nor under that of a query that there is not, which would never end.
    if (job == null || !job.user.equals(user.name())) {
      boolean isQuery =
          query.isPresent()
              && job == null
              && !endedQueries.containsKey(query.getAsLong())
              && runningQueries.test(query.getAsLong());
      String name = isQuery ? "/q" + query.getAsLong() : "/j" + sparkJobId;
      job = new Job(applicationId + name, user.name(), isQuery);
      if (isQuery) {
        jobByQuery.put(query.getAsLong(), job);
      }
      String description = get(properties, "spark.job.description");
      job.description =
          description != null
              ? cut(description)
              : isQuery ? descriptionByQuery.get(query.getAsLong()) : null;
      jobsBySource.get(user.source()).increment();
      conversation.jobAppeared(
          new JobFacts(
              job.id,
              job.user,
              weight(properties),
              isQuery
                  ? () -> queryShapes.apply(query.getAsLong())
                  : () -> new JobShape(signature(callSite), OptionalLong.empty()),
              labels(job, properties, callSite)));
    }
    jobBySparkJob.put(sparkJobId, job);
    job.sparkJobs++;
    return job;
  }

  private void announce(TrackedStage stage, Job job) {
    TaskSetSeen seen = stage.seen;
    StageKey key = new StageKey(job.id, seen.stageId() + "." + seen.stageAttempt());
    stage.user = job.user;
    stage.key = key;
    job.stages.add(new StageAttempt(seen.stageId(), seen.stageAttempt()));
    conversation.stageAppeared(
        new StageFacts(
            key,
            seen.taskCount(),
            seen.inputs().taskBytes(),
            seen.slotsPerTask(),
            seen.inputs().kind()));
  }

  private void closeIfOver(Job job) {
    if (job.end != null && job.sparkJobs == 0) {
      job.stages.forEach(stages::remove);
      conversation.jobEnded(job.id, job.end);
    }
  }

  /** For the conversation's own thread: a query's description may come a moment after its job. */
  private Supplier<Map<String, String>> labels(Job job, Properties properties, String callSite) {
    Map<String, String> labels = new HashMap<>();
    labels.put("application", applicationId);
    String group = get(properties, "spark.jobGroup.id");
    if (group != null) {
      labels.put("group", cut(group));
    }
    return () -> {
      String description = job.description;
      labels.put("description", description == null ? cut(callSite) : description);
      return labels;
    };
  }

  /** The place in the code, without the numbers that differ from run to run. */
  static String signature(String callSite) {
    return callSite.isEmpty() ? "" : cut("rdd " + callSite.replaceAll("[0-9]+", "#"));
  }

  private static String cut(String text) {
    return Texts.cut(text, MAX_LABEL_CHARACTERS);
  }

  private static OptionalLong rootExecution(Properties properties) {
    String root = get(properties, ROOT_EXECUTION_PROPERTY);
    boolean isSparks = root != null && get(properties, ROOT_IS_SET_PROPERTY) == null;
    try {
      return isSparks ? OptionalLong.of(Long.parseLong(root)) : OptionalLong.empty();
    } catch (NumberFormatException e) {
      return OptionalLong.empty();
    }
  }

  private OptionalDouble weight(Properties properties) {
    return Users.said(properties, "weight").map(Settings::weight).orElse(configuredWeight);
  }

  /** Once for each value. Not under Spark's lock, nor ours: a log may keep its writers waiting. */
  private void warnOfWeight(Properties properties) {
    Optional<String> wrong =
        Users.said(properties, "weight").filter(text -> Settings.weight(text).isEmpty());
    if (wrong.isPresent()
        && wrongWeights.size() < MAX_WRONG_WEIGHTS
        && wrongWeights.add(cut(wrong.get()))) {
      LOG.warn(
          "{}weight is \"{}\", so the job has weight 1: set a number from 0.001 to 1000000 (said"
              + " once for each value)",
          Settings.PREFIX,
          cut(wrong.get()));
    }
  }

  private static String get(Properties properties, String key) {
    return properties == null ? null : properties.getProperty(key);
  }
}
