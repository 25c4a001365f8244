package io.uwfq.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.StageOrder.Placed;
import io.uwfq.spark.StageOrder.Placement;
import io.uwfq.spark.conversation.StageKey;
import io.uwfq.spark.conversation.Standings;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class StageOrderTest {
  private static final int WORLDS = 20_000;

  /** Compared by identity, as Spark's task sets are. */
  private static final class Candidate implements StageOrder.Stage {
    final StageKey key;
    final String user;
    final int runningTasks;
    final long servedAt;

    Candidate(String job, String stage, String user, int runningTasks) {
      this(job, stage, user, runningTasks, 0);
    }

    Candidate(String job, String stage, String user, int runningTasks, long servedAt) {
      this.key = job == null ? null : new StageKey(job, stage);
      this.user = user;
      this.runningTasks = runningTasks;
      this.servedAt = servedAt;
    }

    @Override
    public long servedAt() {
      return servedAt;
    }

    @Override
    public StageKey key() {
      return key;
    }

    @Override
    public String user() {
      return user;
    }

    @Override
    public int runningTasks() {
      return runningTasks;
    }

    @Override
    public String toString() {
      return user + ":" + key;
    }
  }

  private static Standings standings(
      Map<StageKey, Integer> ranks, Map<String, Double> jobs, Map<String, Double> users) {
    return new Standings(1, ranks, jobs, users, 0, true);
  }

  /** Ranked stages go by their rank, whatever the order of their arrival. */
  @Test
  void rankedStagesGoByRank() {
    Candidate first = new Candidate("a", "0.0", "alice", 0);
    Candidate second = new Candidate("b", "1.0", "bob", 0);
    Standings standings =
        standings(Map.of(first.key, 1, second.key, 0), Map.of("a", 9.0, "b", 5.0), Map.of());
    assertEquals(List.of(second, first), sorted(List.of(first, second), standings, false));
  }

  /** A stage without a rank stands where its job's deadline belongs, behind those of equal ones. */
  @Test
  void unrankedStageOfKnownJobStandsAtItsDeadline() {
    Candidate early = new Candidate("a", "0.0", "alice", 0);
    Candidate late = new Candidate("b", "1.0", "bob", 0);
    Candidate unranked = new Candidate("a", "2.0", "alice", 0);
    Standings standings =
        standings(Map.of(early.key, 0, late.key, 1), Map.of("a", 5.0, "b", 9.0), Map.of());
    List<Placed<Candidate>> order =
        StageOrder.sort(List.of(unranked, late, early), standings, false);
    assertEquals(List.of(early, unranked, late), order.stream().map(Placed::stage).toList());
    assertEquals(Placement.JOB_DEADLINE, order.get(1).placement());
  }

  /** A user who comes back with a deadline long past does not come first for it. */
  @Test
  void provisionalPlaceIsNeverTheFront() {
    Candidate ranked = new Candidate("a", "0.0", "alice", 0);
    Candidate known = new Candidate("b", "1.0", "bob", 0);
    Candidate returning = new Candidate("c", "2.0", "carol", 0);
    Standings withRanked =
        standings(Map.of(ranked.key, 0), Map.of("a", 500.0), Map.of("carol", 1.0));
    assertEquals(List.of(ranked, returning), sorted(List.of(returning, ranked), withRanked, false));
    Standings withoutRanked = standings(Map.of(), Map.of("b", 700.0), Map.of("carol", 1.0));
    assertEquals(
        List.of(known, returning), sorted(List.of(returning, known), withoutRanked, false));
  }

  /** Alone, the user with the fewest running tasks comes first, and users take turns. */
  @Test
  void aloneUsersTakeTurns() {
    Candidate a1 = new Candidate("a1", "0.0", "alice", 3);
    Candidate a2 = new Candidate("a2", "1.0", "alice", 0);
    Candidate b1 = new Candidate("b1", "2.0", "bob", 3);
    Candidate c1 = new Candidate("c1", "3.0", "carol", 0);
    Candidate c2 = new Candidate("c2", "4.0", "carol", 0);
    Standings ignored = standings(Map.of(a1.key, 0), Map.of("a1", 1.0), Map.of());
    assertEquals(List.of(c1, c2, a1, b1, a2), sorted(List.of(a1, a2, b1, c1, c2), ignored, true));
  }

  /** Alone, of users with equally many running tasks the one who has waited longest is next. */
  @Test
  void aloneWhoHasWaitedLongestIsNext() {
    Candidate a1 = new Candidate("a1", "0.0", "alice", 0, 7);
    Candidate b1 = new Candidate("b1", "1.0", "bob", 0, 3);
    assertEquals(List.of(b1, a1), sorted(List.of(a1, b1), Standings.NONE, true));
  }

  /** The last standings hold while the service answers, and for a while after it has stopped. */
  @Test
  void aloneOnlyWhenUnreachableAndStale() {
    Standings reachable = new Standings(7, Map.of(), Map.of(), Map.of(), 1_000, true);
    Standings lost = new Standings(7, Map.of(), Map.of(), Map.of(), 1_000, false);
    assertFalse(StageOrder.isAlone(reachable, 1_000_000, 50));
    assertFalse(StageOrder.isAlone(lost, 1_050, 50));
    assertTrue(StageOrder.isAlone(lost, 1_051, 50));
    assertTrue(StageOrder.isAlone(Standings.NONE, 0, 50));
    assertTrue(StageOrder.isAlone(Standings.NONE, Long.MAX_VALUE, 50));
  }

  /** Whatever is known of whom, the order is the one that the definition gives, step by step. */
  @Test
  void agreesWithTheDefinition() {
    for (int seed = 0; seed < WORLDS; seed++) {
      Random random = new Random(seed);
      List<Candidate> arrivals = candidates(random);
      Standings standings = randomStandings(random, arrivals);
      boolean alone = random.nextInt(8) == 0;
      assertEquals(
          byDefinition(arrivals, standings, alone),
          sorted(arrivals, standings, alone),
          "seed " + seed);
    }
  }

  private static List<Candidate> sorted(
      List<Candidate> arrivals, Standings standings, boolean alone) {
    return StageOrder.sort(arrivals, standings, alone).stream().map(Placed::stage).toList();
  }

  private static List<Candidate> candidates(Random random) {
    List<Candidate> candidates = new ArrayList<>();
    int count = random.nextInt(12);
    long[] servedAt = random.longs(3, 0, 4).toArray();
    for (int i = 0; i < count; i++) {
      int job = random.nextInt(6);
      boolean userUnknown = random.nextInt(10) == 0;
      candidates.add(
          new Candidate(
              userUnknown ? null : "job" + job,
              i + ".0",
              userUnknown ? "" : "user" + job % 3,
              random.nextInt(4),
              userUnknown ? 0 : servedAt[job % 3]));
    }
    return candidates;
  }

  private static Standings randomStandings(Random random, List<Candidate> arrivals) {
    Map<StageKey, Integer> ranks = new HashMap<>();
    List<Integer> places =
        new ArrayList<>(IntStream.range(0, 2 * arrivals.size()).boxed().toList());
    java.util.Collections.shuffle(places, random);
    for (int i = 0; i < arrivals.size(); i++) {
      if (arrivals.get(i).key != null && random.nextBoolean()) {
        ranks.put(arrivals.get(i).key, places.get(i));
      }
    }
    Map<String, Double> jobs = new HashMap<>();
    Map<String, Double> users = new HashMap<>();
    for (int i = 0; i < 6; i++) {
      if (random.nextInt(3) > 0) {
        jobs.put("job" + i, (double) random.nextInt(5)); // few values: many ties
      }
      if (random.nextBoolean()) {
        users.put("user" + i % 3, (double) random.nextInt(6) - 1);
      }
    }
    return standings(ranks, jobs, users);
  }

  private static List<Candidate> byDefinition(
      List<Candidate> arrivals, Standings standings, boolean alone) {
    List<Candidate> ranked = new ArrayList<>();
    List<Candidate> beside = new ArrayList<>();
    List<Candidate> unknown = new ArrayList<>();
    Map<Candidate, Double> deadlines = new HashMap<>();
    double earliest =
        arrivals.stream()
            .map(each -> jobDeadline(each, standings))
            .filter(deadline -> deadline != null)
            .min(Double::compare)
            .orElse(Double.NEGATIVE_INFINITY);
    for (Candidate each : arrivals) {
      Double ofJob = jobDeadline(each, standings);
      Double ofUser = standings.deadlineByUser().get(each.user);
      if (alone) {
        unknown.add(each);
      } else if (standings.rankByStage().containsKey(each.key)) {
        ranked.add(each);
      } else if (ofJob != null) {
        beside.add(each);
        deadlines.put(each, ofJob);
      } else if (ofUser != null) {
        beside.add(each);
        deadlines.put(each, Math.max(ofUser, earliest));
      } else {
        unknown.add(each);
      }
    }
    ranked.sort(Comparator.comparing(each -> standings.rankByStage().get(each.key)));
    beside.sort(
        Comparator.comparing((Candidate each) -> deadlines.get(each))
            .thenComparing(each -> jobDeadline(each, standings) == null));

    List<Candidate> order = new ArrayList<>();
    for (Candidate chair : ranked) {
      Double deadline = jobDeadline(chair, standings);
      while (deadline != null && !beside.isEmpty() && deadlines.get(beside.get(0)) < deadline) {
        order.add(beside.remove(0));
      }
      order.add(chair);
    }
    order.addAll(beside);

    Map<String, Integer> ahead = new HashMap<>();
    arrivals.forEach(each -> ahead.merge(each.user, each.runningTasks, Integer::sum));
    while (!unknown.isEmpty()) {
      Candidate next = unknown.get(0);
      for (Candidate each : unknown) {
        int fewer = Integer.compare(ahead.get(each.user), ahead.get(next.user));
        if (fewer < 0 || fewer == 0 && each.servedAt < next.servedAt) {
          next = each;
        }
      }
      unknown.remove(next);
      ahead.merge(next.user, 1, Integer::sum);
      order.add(next);
    }
    return order;
  }

  private static Double jobDeadline(Candidate candidate, Standings standings) {
    return candidate.key == null ? null : standings.deadlineByJob().get(candidate.key.jobId());
  }
}
