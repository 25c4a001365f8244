package io.uwfq.spark.conversation;

import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** A conversation with a scripted service, for the tests of conversations. */
abstract class ConversationFixture {
  /** How a task ends, mostly. */
  static final TaskOutcome DONE =
      new TaskOutcome.Success(0.25, OptionalLong.of(10), OptionalLong.of(1));

  ScriptedService service;
  GrpcConversation conversation;

  @BeforeEach
  final void begin() throws Exception {
    service = new ScriptedService();
    conversation = service.converse();
  }

  @AfterEach
  final void end() {
    service.behaviour = request -> null; // It listens to the goodbye.
    conversation.close();
    service.close();
  }

  final void job(String jobId, String user) {
    conversation.jobAppeared(
        new JobFacts(
            jobId,
            user,
            OptionalDouble.of(2),
            () -> new JobShape("sig", OptionalLong.of(77)),
            () -> Map.of("k", "v")));
  }

  final StageKey stage(String jobId, String name, int tasks) {
    StageKey key = new StageKey(jobId, name);
    conversation.stageAppeared(new StageFacts(key, tasks, new long[tasks], 1, StageKind.SHUFFLE));
    return key;
  }

  static void await(CountDownLatch latch) {
    try {
      latch.await(10, TimeUnit.SECONDS);
    } catch (InterruptedException over) {
      Thread.currentThread().interrupt();
    }
  }
}
