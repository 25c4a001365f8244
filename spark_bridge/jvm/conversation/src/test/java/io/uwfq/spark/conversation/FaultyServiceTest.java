package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RankedStage;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.SubmitJobRequest;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A service with a bug that one job brings to light, each time that it is told of it. */
@Timeout(value = 2, unit = TimeUnit.MINUTES)
class FaultyServiceTest extends ConversationFixture {
  private static final Status FAULT = Status.INTERNAL.withDescription("division by zero");

  /** Tries of one thing: the first, and five more. */
  private static final int TRIES = 6;

  /** A job that the service fails at is tried some times, and its end once; the others go on. */
  @Test
  void aJobThatTheServiceFailsAtIsGivenUp() throws Exception {
    AtomicInteger faults = new AtomicInteger();
    service.behaviour =
        request -> {
          boolean odd =
              request instanceof SubmitJobRequest submit && submit.getJobId().equals("q1")
                  || request instanceof CloseJobRequest close && close.getJobId().equals("q1");
          return odd && faults.incrementAndGet() > 0 ? FAULT : null;
        };
    job("q1");
    stage("q1");
    job("q2");
    stage("q2");
    assertEquals("q2", service.next(AddStagesRequest.class).getJobId());
    Waiting.until("a job is given up", () -> conversation.figures().givenUpJobs.sum() == 1);
    assertEquals(TRIES, faults.get());
    conversation.jobEnded("q1", JobEnd.SUCCEEDED); // The service may have it open, for all we know.
    assertEquals("q1", service.next(CloseJobRequest.class).getJobId());
    conversation.jobEnded("q2", JobEnd.SUCCEEDED);
    assertEquals("q2", service.next(CloseJobRequest.class).getJobId());
    conversation.close(); // It waits for whatever is still to be said.
    assertEquals(TRIES + 1, faults.get());
    assertEquals(1, conversation.figures().givenUpJobs.sum());
    assertEquals(0, conversation.figures().fallbacks.sum());
  }

  /**
   * Reports of one job that the service fails at keep back those of the others for a while only.
   */
  @Test
  void reportsThatTheServiceFailsAtAreFoundAndDropped() throws Exception {
    AtomicInteger faults = new AtomicInteger();
    List<String> taken = new CopyOnWriteArrayList<>();
    service.behaviour =
        request -> {
          if (request instanceof NextTaskRequest report && report.getDoneCount() > 0) {
            if (report.getDoneList().stream().anyMatch(done -> done.getJobId().equals("q2"))) {
              faults.incrementAndGet();
              return FAULT;
            }
            report.getDoneList().forEach(done -> taken.add(done.getJobId()));
          }
          return null;
        };
    List<String> names = List.of("q1", "q2", "q3");
    for (String name : names) {
      job(name);
      stage(name);
      service.next(AddStagesRequest.class);
    }
    service.ranking =
        Ranking.newBuilder()
            .setVersion(5)
            .addStages(RankedStage.newBuilder().setJobId("q2").setStage("0.0"))
            .addStages(RankedStage.newBuilder().setJobId("q3").setStage("0.0"))
            .build();
    Waiting.until("a rank", () -> conversation.standings().rankByStage().size() == 2);
    for (String name : names) {
      conversation.taskEnded(new TaskKey(new StageKey(name, "0.0"), 0, 1), DONE);
    }
    Waiting.until("a job is given up", () -> conversation.figures().givenUpJobs.sum() == 1);
    int soFar = faults.get();
    assertTrue(soFar <= 2 * TRIES, soFar + " messages with the odd report");
    // It is not held by an order that knows nothing of what it has done.
    Waiting.until(
        "one rank less",
        () -> conversation.standings().rankByStage().equals(Map.of(new StageKey("q3", "0.0"), 0)));
    conversation.taskEnded(new TaskKey(new StageKey("q2", "0.0"), 1, 1), DONE);
    names.forEach(name -> conversation.jobEnded(name, JobEnd.SUCCEEDED));
    Set<String> closed = new HashSet<>();
    while (closed.size() < 3) {
      closed.add(service.next(CloseJobRequest.class).getJobId());
    }
    assertEquals(Set.of("q1", "q3"), Set.copyOf(taken));
    assertEquals(soFar, faults.get());
    assertEquals(1, conversation.figures().droppedFacts.sum());
    assertEquals(0, conversation.figures().fallbacks.sum());
  }

  private void job(String jobId) {
    conversation.jobAppeared(
        new JobFacts(
            jobId,
            "alice",
            OptionalDouble.empty(),
            () -> new JobShape("sig", OptionalLong.empty()),
            Map::of));
  }

  private void stage(String jobId) {
    conversation.stageAppeared(
        new StageFacts(new StageKey(jobId, "0.0"), 2, null, 1, StageKind.OTHER));
  }
}
