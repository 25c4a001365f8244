package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Wrong settings stop the application with the key, the value, and what it may be. */
class SettingsTest {
  private static final List<String> OTHERS = List.of("partitioning.enabled");

  private static Settings of(String... pairs) {
    Map<String, String> conf = new java.util.HashMap<>(Map.of("spark.uwfq.target", "host:7170"));
    for (int i = 0; i < pairs.length; i += 2) {
      conf.put(pairs[i], pairs[i + 1]);
    }
    return Settings.of(conf, OTHERS);
  }

  @Test
  void oneSettingIsEnough() {
    Settings settings = of();
    assertEquals("host:7170", settings.target());
    assertEquals("default", settings.pool());
    assertEquals(
        List.of(
            Settings.UserSource.THRIFT, Settings.UserSource.CONNECT, Settings.UserSource.PROPERTY),
        settings.userSources());
    assertEquals(Settings.Gate.NONE, settings.gate());
    assertEquals(5_000, settings.staleAfterMillis());
  }

  @Test
  void theTargetMustBeSaid() {
    var wrong =
        assertThrows(IllegalArgumentException.class, () -> Settings.of(Map.of(), List.of()));
    assertTrue(wrong.getMessage().startsWith("spark.uwfq.target is not set"), wrong.getMessage());
  }

  @ParameterizedTest
  @CsvSource({
    "target, host", "target, host:0", "target, host:99999", "target, http://host:1",
    "gate, maybe", "staleAfter, soon", "staleAfter, 1ms", "rpcTimeout, 5y",
    "userSources, 'connect,ldap'", "userSources, 'connect,connect'", "pool, ''", "defaultUser, ''",
  })
  void aWrongValueIsNamed(String name, String value) {
    var wrong = assertThrows(IllegalArgumentException.class, () -> of("spark.uwfq." + name, value));
    assertTrue(wrong.getMessage().startsWith("spark.uwfq." + name + " is \""), wrong.getMessage());
    assertTrue(wrong.getMessage().contains("set it to"), wrong.getMessage());
  }

  @Test
  void aMisspeltKeyIsPutRight() {
    var wrong =
        assertThrows(IllegalArgumentException.class, () -> of("spark.uwfq.defaultuser", "me"));
    assertTrue(wrong.getMessage().contains("spark.uwfq.defaultUser"), wrong.getMessage());
    assertEquals("host:7170", of("spark.uwfq.partitioning.enabled", "x").target());
  }

  @Test
  void tlsSettingsGoTogether() {
    assertThrows(IllegalArgumentException.class, () -> of("spark.uwfq.tls.certificate", "c.pem"));
    assertThrows(
        IllegalArgumentException.class,
        () -> of("spark.uwfq.tls.certificate", "c.pem", "spark.uwfq.tls.key", "k.pem"));
    assertEquals("ca.pem", of("spark.uwfq.tls.ca", "ca.pem").tlsCertificateAuthority());
  }

  @ParameterizedTest
  @CsvSource({"2, 2", "0.5, 0.5", "0, 1", "-3, 1", "NaN, 1", "heavy, 1", "1e9, 1", ", 1"})
  void aWeightIsAlwaysUsable(String text, double weight) {
    assertEquals(weight, Settings.weight(text));
  }

  @ParameterizedTest
  @CsvSource({"100ms, 100", "5s, 5000", "2m, 120000", "2min, 120000", "1h, 3600000", "250, 250"})
  void timesAreSparks(String text, long millis) {
    assertEquals(millis, of("spark.uwfq.staleAfter", text).staleAfterMillis());
  }
}
