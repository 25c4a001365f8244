package io.uwfq.spark;

import io.uwfq.spark.conversation.StageKey;
import io.uwfq.spark.conversation.Standings;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Sorts the stages that Spark could launch from, by what the service last said.
 *
 * <p>Picture the service's ranking as a row of chairs. A stage that it ranked sits on its own
 * chair. One that it did not rank yet stands beside the chairs, where its deadline belongs: its
 * job's, if the service has answered for the job, else its user's last one. Who is not known at all
 * stands behind the last chair, and there the users take turns. When the service has been silent
 * for too long the chairs are gone, and all take turns.
 *
 * <p>Pure: no clock, no state. Costs O(n log n) for n stages.
 */
public final class StageOrder {

  /** How a stage came to its place. */
  public enum Placement {
    /** The service ranked it. */
    RANKED,
    /** At its job's deadline: the service knows the job, and has not ranked this stage. */
    JOB_DEADLINE,
    /** At its user's last deadline: the service has not answered for the job yet. */
    USER_DEADLINE,
    /** In its user's turn: nothing is known, or the service is out of reach. */
    ROUND_ROBIN
  }

  /** A stage that has tasks to launch. */
  public interface Stage {
    /** Its name; null while it is not known which job it belongs to. */
    StageKey key();

    /** Whose it is; "" while that is not known. */
    String user();

    /** Its tasks that run now. */
    int runningTasks();

    /**
     * When its user was last given a slot, by any clock; 0: not yet. Who has waited longest is
     * next.
     */
    long servedAt();
  }

  /** A stage in its place. */
  public record Placed<S>(S stage, Placement placement) {}

  /**
   * @param chair what it comes before: a ranked stage's own place, else that of the first ranked
   *     stage with a later deadline
   * @param deadline orders those before the same chair; of a user in turn: tasks that run or come
   *     before it
   * @param servedAt of a user in turn, else 0
   */
  private record Place<S extends Stage>(
      S stage, Placement placement, int chair, double deadline, long servedAt, int arrival) {

    static <S extends Stage> Place<S> of(
        S stage, Placement placement, int chair, double deadline, int arrival) {
      return new Place<>(stage, placement, chair, deadline, 0, arrival);
    }
  }

  /** Unranked before the ranked stage of their chair; by deadline, the better known first. */
  private static final Comparator<Place<?>> BY_PLACE =
      Comparator.<Place<?>>comparingInt(Place::chair)
          .thenComparing(place -> place.placement == Placement.RANKED)
          .thenComparingDouble(Place::deadline)
          .thenComparing(Place::placement)
          .thenComparingLong(Place::servedAt)
          .thenComparingInt(Place::arrival);

  private static final int BEHIND_ALL = Integer.MAX_VALUE;

  private StageOrder() {}

  /**
   * The stages in the order in which free slots should be offered to them.
   *
   * @param arrivals the stages, those that came first first; not changed
   * @param standings what the service last said
   * @param alone whether to do without it, see {@link #isAlone}
   */
  public static <S extends Stage> List<Placed<S>> sort(
      List<S> arrivals, Standings standings, boolean alone) {
    List<Place<S>> places = new ArrayList<>(arrivals.size());
    if (alone) {
      takeTurns(arrivals, IntStream.range(0, arrivals.size()), places);
    } else {
      place(arrivals, standings, places);
    }
    places.sort(BY_PLACE);
    List<Placed<S>> order = new ArrayList<>(places.size());
    for (Place<S> place : places) {
      order.add(new Placed<>(place.stage, place.placement));
    }
    return order;
  }

  /** Whether the service is out of reach, and what it last said too old to go by. */
  public static boolean isAlone(Standings standings, long nowNanos, long staleAfterNanos) {
    return !standings.reachable()
        && (standings.version() == 0 || nowNanos - standings.heardAtNanos() > staleAfterNanos);
  }

  private static <S extends Stage> void place(
      List<S> arrivals, Standings standings, List<Place<S>> places) {
    int count = arrivals.size();
    int[] ranks = new int[count];
    double[] jobDeadlines = new double[count];
    int[] rankedRanks = new int[count];
    int rankedCount = 0;
    double earliest = Double.POSITIVE_INFINITY;
    for (int i = 0; i < count; i++) {
      StageKey key = arrivals.get(i).key();
      Integer rank = key == null ? null : standings.rankByStage().get(key);
      Double deadline = key == null ? null : standings.deadlineByJob().get(key.jobId());
      ranks[i] = rank == null ? -1 : rank;
      jobDeadlines[i] = deadline == null ? Double.NaN : deadline;
      if (rank != null) {
        rankedRanks[rankedCount++] = rank;
      }
      if (deadline != null) {
        earliest = Math.min(earliest, deadline);
      }
    }
    Chairs chairs = Chairs.of(ranks, jobDeadlines, Arrays.copyOf(rankedRanks, rankedCount));

    IntStream.Builder unknown = IntStream.builder();
    for (int i = 0; i < count; i++) {
      S stage = arrivals.get(i);
      if (ranks[i] >= 0) {
        places.add(Place.of(stage, Placement.RANKED, chairs.of(ranks[i]), 0, i));
      } else if (!Double.isNaN(jobDeadlines[i])) {
        double deadline = jobDeadlines[i];
        places.add(Place.of(stage, Placement.JOB_DEADLINE, chairs.before(deadline), deadline, i));
      } else {
        Double userDeadline = standings.deadlineByUser().get(stage.user());
        if (userDeadline == null) {
          unknown.add(i);
        } else {
          // A user who was away for long has a deadline in the past: that is no reason to come
          // first.
          double deadline =
              earliest == Double.POSITIVE_INFINITY
                  ? userDeadline
                  : Math.max(userDeadline, earliest);
          places.add(
              Place.of(stage, Placement.USER_DEADLINE, chairs.before(deadline), deadline, i));
        }
      }
    }
    takeTurns(arrivals, unknown.build(), places);
  }

  /**
   * Users in turn: the next stage is that of the user who has the fewest, running tasks and stages
   * that were named before it together; among equals, of the one who has waited longest.
   */
  private static <S extends Stage> void takeTurns(
      List<S> arrivals, IntStream which, List<Place<S>> places) {
    Map<String, Integer> ahead = new HashMap<>();
    for (S stage : arrivals) {
      ahead.merge(stage.user(), stage.runningTasks(), Integer::sum);
    }
    which.forEach(
        i -> {
          S stage = arrivals.get(i);
          int turn = ahead.merge(stage.user(), 1, Integer::sum) - 1;
          places.add(
              new Place<>(stage, Placement.ROUND_ROBIN, BEHIND_ALL, turn, stage.servedAt(), i));
        });
  }

  /**
   * The ranked stages that are here, in a row.
   *
   * @param ranks their ranks, ascending
   * @param latest the latest deadline up to each: rising, even should the policy not order by it
   */
  private record Chairs(int[] ranks, double[] latest) {

    static Chairs of(int[] rankByStage, double[] deadlineByStage, int[] ranks) {
      Arrays.sort(ranks);
      double[] latest = new double[ranks.length];
      Arrays.fill(latest, Double.NEGATIVE_INFINITY);
      for (int i = 0; i < rankByStage.length; i++) {
        if (rankByStage[i] >= 0 && !Double.isNaN(deadlineByStage[i])) {
          int chair = Arrays.binarySearch(ranks, rankByStage[i]);
          latest[chair] = Math.max(latest[chair], deadlineByStage[i]);
        }
      }
      for (int i = 1; i < latest.length; i++) {
        latest[i] = Math.max(latest[i], latest[i - 1]);
      }
      return new Chairs(ranks, latest);
    }

    int of(int rank) {
      return Arrays.binarySearch(ranks, rank);
    }

    /** The first chair of a later deadline; of equal ones the ranked stage goes first. */
    int before(double deadline) {
      int low = 0;
      int high = latest.length;
      while (low < high) {
        int middle = (low + high) >>> 1;
        if (latest[middle] > deadline) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      return low;
    }
  }
}
