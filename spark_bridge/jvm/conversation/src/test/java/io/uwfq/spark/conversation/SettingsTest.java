package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Wrong settings stop the application with the key, the value, and what it may be. */
class SettingsTest {
  private static final List<String> OTHERS = List.of("partitioning.enabled");

  private static Settings of(String... pairs) {
    Map<String, String> conf = new HashMap<>(Map.of("spark.uwfq.target", "host:7170"));
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
    "target, host",
    "target, host:0",
    "target, host:99999",
    "target, http://host:1",
    "gate, maybe",
    "staleAfter, soon",
    "staleAfter, 1ms",
    "rpcTimeout, 5y",
    "userSources, 'connect,ldap'",
    "userSources, 'connect,connect'",
    "weight, heavy",
    "weight, 0",
    "staleAfter, 2h",
    "pool, ''",
    "defaultUser, ''",
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
  @CsvSource({"2, 2", "0.5, 0.5", "0,", "-3,", "NaN,", "heavy,", "1e9,", ","})
  void whatIsNoWeightIsNone(String text, Double weight) {
    assertEquals(
        weight == null ? OptionalDouble.empty() : OptionalDouble.of(weight), Settings.weight(text));
  }

  /** What the operator reads is what the bridge takes. */
  @Test
  void theReadmeNamesEveryKeyWithItsDefault() throws Exception {
    String readme = Files.readString(Path.of("..", "..", "README.md"));
    for (Settings.Key key : Settings.KEYS) {
      boolean local = key.name().equals("user") || key.name().equals("weight");
      String row = "| `" + Settings.PREFIX + key.name() + "` |";
      int at = readme.indexOf(row);
      assertTrue(at >= 0, "no row " + row);
      String rest = readme.substring(at + row.length(), readme.indexOf('\n', at));
      if (key.unset() != null && !key.unset().isEmpty()) {
        assertTrue(rest.startsWith(" `" + key.unset() + "` |"), row + rest);
      }
      assertTrue(local || rest.contains(key.meaning().split(";")[0]), row + rest);
    }
  }

  @ParameterizedTest
  @CsvSource({"100ms, 100", "5s, 5000", "2m, 120000", "2min, 120000", "1h, 3600000", "250, 250"})
  void timesAreSparks(String text, long millis) {
    assertEquals(millis, of("spark.uwfq.staleAfter", text).staleAfterMillis());
  }
}
