package org.apache.spark.scheduler;

import io.uwfq.spark.JobTracker;
import io.uwfq.spark.JobTracker.TaskSetSeen;
import io.uwfq.spark.JobTracker.TrackedStage;
import io.uwfq.spark.StageOrder;
import io.uwfq.spark.StageOrder.Placed;
import io.uwfq.spark.StageOrder.Placement;
import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.Figures;
import io.uwfq.spark.conversation.StageKey;
import io.uwfq.spark.conversation.Standings;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.collection.mutable.ArrayBuffer;

/**
 * The one pool of the application: all task sets lie in it, in the order of the service.
 *
 * <p>Spark's scheduler works on a tree of pools whose leaves are task sets. With free slots it asks
 * the tree for its task sets in order, and launches what fits from the first, then the next. This
 * pool stands in the place of the default one and answers to any name, so that {@code
 * spark.scheduler.pool}, whatever it is set to, leads here.
 *
 * <p>Everything here runs under the lock of {@link TaskSchedulerImpl}, while all users wait: no
 * RPC, no waiting, one volatile read of the last {@link Standings}. And nothing escapes from here:
 * in {@code addSchedulable} an exception would end the application, in {@code
 * getSortedTaskSetQueue} it would hang the jobs. What goes wrong is counted, and answered by the
 * order of arrival.
 *
 * <p>A change of the order launches nothing by itself, so nobody has to tell Spark of it: as long
 * as a slot is free, every launchable task set was offered it already.
 */
public final class UwfqPool extends Pool {
  private static final Logger LOG = LoggerFactory.getLogger(UwfqPool.class);

  private static final String POOL_PROPERTY = "spark.scheduler.pool";
  private static final String NAME = "default";

  /** Names under which {@code SparkContext.getPoolForName} and the UI find this pool. */
  private static final int MAX_ALIASES = 1_000;

  private static final int MAX_REMEMBERED_USERS = 10_000;

  /** A task set in this pool. */
  private final class Entry implements StageOrder.Stage {
    final TaskSetManager taskSet;

    /** Null if the tracker could not make sense of it. */
    final TrackedStage stage;

    boolean countedProvisional;
    boolean countedRoundRobin;
    int launchesSeen;

    Entry(TaskSetManager taskSet, TrackedStage stage) {
      this.taskSet = taskSet;
      this.stage = stage;
    }

    @Override
    public StageKey key() {
      return stage == null ? null : stage.key();
    }

    @Override
    public String user() {
      return stage == null ? "" : stage.user();
    }

    @Override
    public int runningTasks() {
      return taskSet.runningTasks();
    }

    @Override
    public long servedAt() {
      return servedAt.getOrDefault(user(), 0L);
    }

    /** Takes note of what its user was given since the last time. */
    void noteLaunches() {
      int launches = taskSet.taskInfos().size();
      if (launches > launchesSeen) {
        launchesSeen = launches;
        servedAt.put(user(), ++serviceClock);
      }
    }
  }

  private final TaskSetReader reader;
  private final JobTracker tracker;
  private final Conversation conversation;
  private final long staleAfterNanos;

  /** Null: tasks launch whenever Spark has a free slot. */
  private final LaunchGate gate;

  /** In the order of their arrival. */
  private final Map<TaskSetManager, Entry> entries = new LinkedHashMap<>();

  /**
   * The last order, as long as {@link #orderedBy} still is what the service said last; else null.
   */
  private List<Placed<Entry>> order;

  /** When users were last given a slot, by a clock that counts that; kept while they take turns. */
  private final Map<String, Long> servedAt = new HashMap<>();

  private long serviceClock;

  private Standings orderedBy;
  private boolean orderedAlone;
  private boolean errorLogged;

  /**
   * @param staleAfter how old the last standings may be while the service is out of reach
   * @param gate null: none
   */
  UwfqPool(
      TaskSetReader reader,
      JobTracker tracker,
      Conversation conversation,
      Duration staleAfter,
      LaunchGate gate) {
    // FIFO by name: the order that Spark itself would keep within one pool, if it came to that.
    super(NAME, SchedulingMode.FIFO(), 0, 1);
    this.reader = reader;
    this.tracker = tracker;
    this.conversation = conversation;
    this.staleAfterNanos = staleAfter.toNanos();
    this.gate = gate;
  }

  /** This pool, whatever the name. */
  @Override
  public Schedulable getSchedulableByName(String name) {
    return this;
  }

  @Override
  public void addSchedulable(Schedulable schedulable) {
    if (!(schedulable instanceof TaskSetManager submitted)) {
      super.addSchedulable(schedulable);
      return;
    }
    TaskSetManager taskSet = behindGate(submitted);
    super.addSchedulable(taskSet);
    TrackedStage stage = null;
    try {
      addAlias(taskSet.taskSet().properties());
      stage = tracker.taskSetAppeared(read(taskSet));
      if (taskSet instanceof GatedTaskSetManager gated) {
        gated.belongsTo(stage);
      }
    } catch (Throwable error) {
      swallow(error);
    }
    entries.put(taskSet, new Entry(taskSet, stage));
    order = null;
  }

  private TaskSetSeen read(TaskSetManager taskSet) {
    try {
      return reader.read(taskSet);
    } catch (Throwable error) {
      swallow(error);
      return reader.readWithoutInputs(taskSet);
    }
  }

  private TaskSetManager behindGate(TaskSetManager submitted) {
    if (gate == null) {
      return submitted;
    }
    try {
      return gate.guard(submitted);
    } catch (Throwable error) {
      swallow(error);
      return submitted;
    }
  }

  @Override
  public void removeSchedulable(Schedulable schedulable) {
    super.removeSchedulable(schedulable);
    if (schedulable instanceof TaskSetManager taskSet) {
      Entry entry = entries.remove(taskSet);
      order = null;
      if (entry != null) {
        entry.noteLaunches();
      }
    }
  }

  /** The task sets that have tasks to launch, the most urgent first. */
  @Override
  public ArrayBuffer<TaskSetManager> getSortedTaskSetQueue() {
    try {
      return inOrder();
    } catch (Throwable error) {
      swallow(error);
      return inArrivalOrder();
    }
  }

  private ArrayBuffer<TaskSetManager> inOrder() {
    Standings standings = conversation.standings();
    boolean alone = StageOrder.isAlone(standings, System.nanoTime(), staleAfterNanos);
    if (order == null || orderedBy != standings || orderedAlone != alone) {
      sort(standings, alone);
    }
    ArrayBuffer<TaskSetManager> queue = new ArrayBuffer<>(order.size());
    for (Placed<Entry> placed : order) {
      if (placed.stage().taskSet.isSchedulable()) {
        count(placed);
        queue.$plus$eq(placed.stage().taskSet);
      }
    }
    if (alone || anyInTurn()) {
      order = null; // whose turn it is depends on what runs, so that the next round sorts again
    }
    return queue;
  }

  private void sort(Standings standings, boolean alone) {
    if (servedAt.size() > MAX_REMEMBERED_USERS) {
      servedAt.clear();
    }
    entries.values().forEach(Entry::noteLaunches);
    order = StageOrder.sort(new ArrayList<>(entries.values()), standings, alone);
    orderedBy = standings;
    orderedAlone = alone;
  }

  /** Those in turn are the last. */
  private boolean anyInTurn() {
    return !order.isEmpty() && order.get(order.size() - 1).placement() == Placement.ROUND_ROBIN;
  }

  /** Once for each task set, not for each round. */
  private void count(Placed<Entry> placed) {
    Entry entry = placed.stage();
    Figures figures = conversation.figures();
    if (placed.placement() == Placement.ROUND_ROBIN && orderedAlone) {
      if (!entry.countedRoundRobin) {
        entry.countedRoundRobin = true;
        figures.roundRobinPlacements.increment();
      }
    } else if (placed.placement() != Placement.RANKED && !entry.countedProvisional) {
      entry.countedProvisional = true;
      figures.provisionalPlacements.increment();
    }
  }

  private ArrayBuffer<TaskSetManager> inArrivalOrder() {
    ArrayBuffer<TaskSetManager> queue = new ArrayBuffer<>();
    for (Schedulable schedulable : schedulableQueue()) {
      if (schedulable instanceof TaskSetManager taskSet && taskSet.isSchedulable()) {
        queue.$plus$eq(taskSet);
      }
    }
    return queue;
  }

  private void addAlias(Properties properties) {
    String name = properties == null ? null : properties.getProperty(POOL_PROPERTY);
    if (name != null && parent() != null) {
      var names = parent().schedulableNameToSchedulable();
      if (names.size() < MAX_ALIASES) {
        names.putIfAbsent(name, this);
      }
    }
  }

  private void swallow(Throwable error) {
    if (error instanceof VirtualMachineError fatal && !(error instanceof StackOverflowError)) {
      throw fatal;
    }
    order = null;
    conversation.figures().caughtErrors.increment();
    if (!errorLogged) {
      errorLogged = true;
      LOG.error(
          "UWFQ could not order the tasks, which go by their arrival meanwhile. "
              + "This is a bug; it is said once.",
          error);
    }
  }
}
