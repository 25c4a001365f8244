package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** What a long absence of the service costs has a limit, and the newest jobs are kept best. */
class EndedJobsTest {
  private final List<JobMirror> givenUp = new ArrayList<>();

  private static JobMirror job(String name, int tasks, boolean maybeKnown) {
    JobMirror job =
        new JobMirror(
            new JobFacts(name, "alice", OptionalDouble.empty(), () -> JobShape.UNKNOWN, Map::of));
    StageKey key = new StageKey(name, "0.0");
    job.stages.put("0.0", new StageMirror(new StageFacts(key, tasks, null, 1, StageKind.OTHER)));
    job.maybeKnown = maybeKnown;
    job.end = JobEnd.SUCCEEDED;
    return job;
  }

  @Test
  void theOldestAreStrippedAndThenGivenUp() {
    EndedJobs ended = new EndedJobs(2, 1_000, 1, givenUp::add);
    List<JobMirror> jobs = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      jobs.add(job("q" + i, 1, true));
      ended.add(jobs.get(i));
    }
    assertEquals(List.of(jobs.get(0)), givenUp);
    assertTrue(jobs.get(1).stripped && jobs.get(1).stages.isEmpty());
    assertFalse(jobs.get(2).stripped || jobs.get(3).stripped);
  }

  @Test
  void whatTheServiceNeverHeardOfIsNotWorthAnEnd() {
    EndedJobs ended = new EndedJobs(1, 1_000, 10, givenUp::add);
    JobMirror stranger = job("q0", 1, false);
    ended.add(stranger);
    ended.add(job("q1", 1, true));
    assertEquals(List.of(stranger), givenUp);
  }

  @Test
  void manyTasksCountLikeManyJobs() {
    EndedJobs ended = new EndedJobs(100, 1_000, 10, givenUp::add);
    JobMirror big = job("q0", 900, true);
    ended.add(big);
    JobMirror next = job("q1", 200, true);
    ended.add(next);
    assertTrue(big.stripped);
    ended.add(job("q2", 800, true));
    assertFalse(next.stripped, "1,000 tasks are within the limit");
  }

  @Test
  void itSaysWhenThereIsNone() {
    EndedJobs ended = new EndedJobs(1, 1_000, 10, givenUp::add);
    JobMirror first = job("q0", 1, true);
    JobMirror second = job("q1", 1, true);
    ended.add(first);
    ended.add(second);
    CompletableFuture<Void> none = new CompletableFuture<>();
    ended.whenNone(none);
    ended.remove(first);
    assertFalse(none.isDone());
    ended.remove(second);
    assertTrue(none.isDone());
  }
}
