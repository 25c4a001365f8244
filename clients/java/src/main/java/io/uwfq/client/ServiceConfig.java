package io.uwfq.client;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Which calls gRPC may repeat by itself: the same for the clients of all languages.
 *
 * <p>Every call of the API is safe to repeat (a submission carries a name or a {@code request_id},
 * a result its lease), so each is tried again when it met {@code UNAVAILABLE} or was {@code
 * CANCELLED} by a service that ends, and waits for a connection where there is none: a service that
 * restarts is waited out within the deadline.
 */
public final class ServiceConfig {
  private static final String RESOURCE = "service_config.json";

  private ServiceConfig() {}

  /**
   * The config in the form that {@link io.grpc.ManagedChannelBuilder#defaultServiceConfig} takes,
   * for a channel of your own.
   *
   * @return a fresh copy
   */
  public static Map<String, ?> asMap() {
    try (InputStream stream = ServiceConfig.class.getResourceAsStream(RESOURCE);
        Reader json = new InputStreamReader(stream, StandardCharsets.UTF_8)) {
      return new Gson().fromJson(json, new TypeToken<Map<String, Object>>() {}.getType());
    } catch (IOException broken) {
      throw new UncheckedIOException("the client's jar is damaged: " + RESOURCE, broken);
    }
  }
}
