package io.uwfq.spark;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.Figures;
import io.uwfq.spark.conversation.Settings.UserSource;
import io.uwfq.spark.conversation.Standings;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The bridge's figures in Spark's metrics system.
 *
 * <p>Each is a gauge named {@code <application>.driver.plugin.io.uwfq.spark.UwfqPlugin.<name>}, on
 * {@code /metrics/json} and in every sink that Spark is configured with. The names are kept stable:
 *
 * <pre>
 *   service.reachable        1: the service answers, 0: it does not
 *   service.fallbacks        times that it was lost
 *   service.rejoins          times that it was found again
 *   standings.version        the service's version of the order that is in use
 *   standings.ageSeconds     seconds since the service last answered; -1: it never has
 *   placements.provisional   stages that were placed before the service had ranked them
 *   placements.roundRobin    stages that were placed without the service, users in turn
 *   launches.withoutLease    under a gate: launches that the service had not granted in time
 *   rpcs.answered            calls that the service answered
 *   rpcs.failed              calls that failed, whatever the reason
 *   rpcs.meanSeconds         mean round trip of those answered, long polls apart
 *   facts.dropped            facts about unknown jobs, or beyond what the queue holds
 *   errors.caught            bugs of ours that Spark's scheduler was kept from seeing
 *   errors.planning          bugs of ours that kept a query from being cut as the service says
 *   splits.applied           stages cut as the service said
 *   splits.timedOut          stages left as Spark had cut them, since no answer came in time
 *   jobs.thrift              jobs whose user the Thrift server named
 *   jobs.connect             ... Spark Connect named
 *   jobs.property            ... the submitter named
 *   jobs.default             ... nobody named
 *   service.jobsGivenUp      jobs that the service does not take, or fails at: they run unscheduled
 * </pre>
 */
final class BridgeMetrics {
  private static final double NANOS_PER_SECOND = 1e9;

  private BridgeMetrics() {}

  static void register(MetricRegistry registry, Conversation conversation, JobTracker tracker) {
    Figures figures = conversation.figures();
    gauge(registry, "service.reachable", () -> conversation.standings().reachable() ? 1 : 0);
    gauge(registry, "service.fallbacks", figures.fallbacks::sum);
    gauge(registry, "service.rejoins", figures.rejoins::sum);
    gauge(registry, "standings.version", () -> conversation.standings().version());
    gauge(registry, "standings.ageSeconds", () -> ageSeconds(conversation.standings()));
    gauge(registry, "placements.provisional", figures.provisionalPlacements::sum);
    gauge(registry, "placements.roundRobin", figures.roundRobinPlacements::sum);
    gauge(registry, "launches.withoutLease", figures.launchesWithoutLease::sum);
    gauge(registry, "rpcs.answered", figures.rpcs::sum);
    gauge(registry, "rpcs.failed", figures.failedRpcs::sum);
    gauge(registry, "rpcs.meanSeconds", () -> meanSeconds(figures));
    gauge(registry, "facts.dropped", figures.droppedFacts::sum);
    gauge(registry, "errors.caught", figures.caughtErrors::sum);
    gauge(registry, "errors.planning", figures.planningErrors::sum);
    gauge(registry, "splits.applied", figures.splits::sum);
    gauge(registry, "splits.timedOut", figures.splitTimeouts::sum);
    gauge(registry, "service.jobsGivenUp", figures.givenUpJobs::sum);
    gauge(registry, "jobs.default", () -> tracker.jobs(Optional.empty()));
    for (UserSource source : UserSource.values()) {
      String name = "jobs." + source.name().toLowerCase(Locale.ROOT);
      gauge(registry, name, () -> tracker.jobs(Optional.of(source)));
    }
  }

  private static void gauge(MetricRegistry registry, String name, Supplier<Number> value) {
    registry.register(name, (Gauge<Number>) value::get);
  }

  private static double ageSeconds(Standings standings) {
    return standings.heardAtNanos() == Standings.NONE.heardAtNanos()
        ? -1
        : (System.nanoTime() - standings.heardAtNanos()) / NANOS_PER_SECOND;
  }

  private static double meanSeconds(Figures figures) {
    long rpcs = figures.rpcs.sum();
    return rpcs == 0 ? 0 : figures.rpcNanos.sum() / NANOS_PER_SECOND / rpcs;
  }
}
