package io.uwfq.spark;

import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.GrpcConversation;
import io.uwfq.spark.conversation.ServiceChannel;
import io.uwfq.spark.conversation.Settings;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * What {@code spark.plugins} names: it makes the UWFQ service order the tasks of this application.
 *
 * <p>All of it happens in the driver. Executors load this class too, and nothing else of the
 * bridge.
 */
public class UwfqPlugin implements SparkPlugin {
  @Override
  public DriverPlugin driverPlugin() {
    return new UwfqDriver(this::converse);
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return null;
  }

  /**
   * Begins the conversation with the service; does not wait for it.
   *
   * @param engineId the name of this run of the application
   */
  protected Conversation converse(Settings settings, String engineId) {
    GrpcConversation conversation =
        new GrpcConversation(settings, engineId, ServiceChannel.open(settings));
    conversation.start();
    return conversation;
  }
}
