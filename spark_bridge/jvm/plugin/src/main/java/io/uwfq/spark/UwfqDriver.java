package io.uwfq.spark;

import static scala.util.Properties.versionNumberString;

import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.ServiceChannel;
import io.uwfq.spark.conversation.Settings;
import io.uwfq.spark.sql.QueryShapes;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.function.BiFunction;
import java.util.stream.Collectors;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.scheduler.RunningJobs;
import org.apache.spark.scheduler.SlotCounter;
import org.apache.spark.scheduler.UwfqScheduling;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The plugin's part in the driver: puts everything together when the application starts.
 *
 * <p>Spark calls {@link #init} before it has a task scheduler: the jar and the settings are checked
 * there, and wrong ones stop the start. It calls {@link #registerMetrics} when all runs and no job
 * was submitted yet: there the pool, the listener and the conversation come in. Should that fail,
 * the application goes on as if the bridge were not there.
 */
final class UwfqDriver implements DriverPlugin {
  private static final Logger LOG = LoggerFactory.getLogger(UwfqDriver.class);

  /** Little beside the time for which the conversation lets the same facts gather. */
  private static final Duration REST = Duration.ofMillis(10);

  private final BiFunction<Settings, String, Conversation> converse;
  private SparkContext spark;
  private Settings settings;
  private PartitioningSettings partitioning;
  private Conversation conversation;
  private UwfqScheduling.Installed scheduling = () -> {};
  private Bridge bridge;

  UwfqDriver(BiFunction<Settings, String, Conversation> converse) {
    this.converse = converse;
  }

  /**
   * Reads the settings, and asks Spark for the scheduler that has pools.
   *
   * @throws IllegalArgumentException names the setting that is wrong, and what it may be
   * @throws IllegalStateException this jar is for another Spark, or another Scala
   */
  @Override
  public Map<String, String> init(SparkContext spark, PluginContext context) {
    BuiltFor.thisJar().ifPresent(jar -> jar.check(spark.version(), versionNumberString()));
    this.spark = spark;
    SparkConf conf = spark.conf();
    Map<String, String> values =
        Arrays.stream(conf.getAll())
            .collect(Collectors.toMap(each -> each._1(), each -> each._2()));
    settings =
        Settings.of(
            values,
            PartitioningSettings.KEYS.stream()
                .map(key -> key.substring(Settings.PREFIX.length()))
                .toList());
    ServiceChannel.check(settings);
    partitioning =
        PartitioningSettings.DEFAULTS.overriddenBy(
            key -> conf.contains(key) ? conf.get(key) : null);
    conf.set("spark.scheduler.mode", "FAIR");
    return new HashMap<>();
  }

  @Override
  public void registerMetrics(String applicationId, PluginContext context) {
    try {
      start(applicationId, context);
    } catch (Exception | LinkageError error) {
      LOG.error("UWFQ could not start, so Spark schedules as it does without it", error);
      shutdown();
    }
  }

  private void start(String applicationId, PluginContext context) {
    boolean gated = settings.gate() == Settings.Gate.LEASES;
    Users users = new Users(settings.userSources(), settings.user(), settings.defaultUser());
    SlotCounter slots = new SlotCounter(spark);
    conversation = converse.apply(settings, applicationId);
    JobTracker tracker =
        new JobTracker(
            applicationId,
            conversation,
            users,
            settings.weight(),
            QueryShapes::isRunning,
            QueryShapes::of);

    scheduling =
        UwfqScheduling.install(
            spark,
            slots,
            tracker,
            conversation,
            Duration.ofMillis(settings.staleAfterMillis()),
            gated);
    spark
        .listenerBus()
        .addToQueue(
            new UwfqListener(
                tracker,
                users,
                conversation,
                slots,
                new RunningJobs(spark),
                gated ? Duration.ZERO : REST),
            UwfqListener.QUEUE);
    // Executors that came before the listener are counted here, those that come now by it.
    conversation.slotsChanged(slots.getAsInt());
    BridgeMetrics.register(context.metricRegistry(), conversation, tracker);

    bridge =
        new Bridge(conversation, partitioning, () -> users.resolveNow(localProperties()).name());
    Bridge.install(bridge);
  }

  private Properties localProperties() {
    return spark.getLocalProperties();
  }

  @Override
  public void shutdown() {
    if (bridge != null) {
      Bridge.uninstall(bridge);
    }
    scheduling.close();
    if (conversation != null) {
      conversation.close();
    }
  }
}
