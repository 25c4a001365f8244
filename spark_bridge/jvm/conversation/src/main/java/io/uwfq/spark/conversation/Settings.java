package io.uwfq.spark.conversation;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The settings {@code spark.uwfq.*} of an application, validated.
 *
 * @param target where the service listens, host:port
 * @param pool the service's pool that the application's slots belong to
 * @param user whose the jobs are of which neither thread nor session says so; empty: nobody's
 * @param weight of the jobs of which neither thread nor session says so; empty: 1
 * @param defaultUser whose a job is that no source knows a user of
 * @param userSources where a job's user is looked for; the first that knows one wins
 * @param gate whether launches need a lease
 * @param staleAfterMillis after this long without an answer users take turns
 * @param rpcTimeoutMillis longest that one call may take, the wait of a long poll apart
 * @param tlsCertificateAuthority file with the authorities to trust (PEM); empty: no TLS
 * @param tlsCertificate file with the client's certificate chain (PEM); empty: none
 * @param tlsKey file with the client's key (PEM); empty: none
 */
public record Settings(
    String target,
    String pool,
    String user,
    OptionalDouble weight,
    String defaultUser,
    List<UserSource> userSources,
    Gate gate,
    long staleAfterMillis,
    long rpcTimeoutMillis,
    String tlsCertificateAuthority,
    String tlsCertificate,
    String tlsKey) {

  /** All keys of the bridge begin so. */
  public static final String PREFIX = "spark.uwfq.";

  /** Where a job's user is looked for. */
  public enum UserSource {
    /** Whom the Thrift server has authenticated. */
    THRIFT,
    /** Whom the Connect server knows. */
    CONNECT,
    /** Whom the submitting thread names, else its session, else the configuration. */
    PROPERTY
  }

  /** Whether a task may launch. */
  public enum Gate {
    /** Whenever Spark has a free core; the order alone is the service's. */
    NONE,
    /** Only with a lease of the service. */
    LEASES
  }

  /** One key: what it is for, and what holds when it is not set (null: it must be). */
  public record Key(String name, String unset, String meaning) {}

  private static final Pattern TARGET =
      Pattern.compile("(\\[[0-9a-fA-F:.]+\\]|[^\\s:/]+):(\\d{1,5})");
  private static final double MIN_WEIGHT = 0.001;
  private static final double MAX_WEIGHT = 1_000_000;
  private static final long MAX_MILLIS = 3_600_000;
  private static final Pattern TIME = Pattern.compile("(\\d{1,9})\\s*(ms|s|m|min|h)?");

  /** Every key that is read here, in the order of the documentation. */
  public static final List<Key> KEYS =
      List.of(
          new Key(
              "target",
              null,
              "where the service listens, `host:port`; the only key that must be set"),
          new Key("pool", "default", "the service's pool that the application's slots belong to"),
          new Key("user", "", "whose the jobs are, unless their session or thread says so"),
          new Key(
              "weight",
              "",
              "what they weigh among their user's own, unless these say so, 0.001 to 1000000"),
          new Key("defaultUser", "default", "whose a job is that no source knows a user of"),
          new Key(
              "userSources",
              "thrift,connect,property",
              "where a job's user is looked for; the first that knows one wins"),
          new Key("gate", "none", "`leases`: a task launches only with a lease of the service"),
          new Key("staleAfter", "5s", "after this long without an answer users take turns"),
          new Key("rpcTimeout", "2s", "longest that one call to the service may take"),
          new Key("tls.ca", "", "file with the authorities to trust (PEM); switches TLS on"),
          new Key("tls.certificate", "", "file with the client's certificate chain (PEM)"),
          new Key("tls.key", "", "file with the client's key (PEM)"));

  /**
   * Reads the settings of an application.
   *
   * @param conf all settings of the application; those of others are not looked at
   * @param others names behind {@link #PREFIX} that somebody else reads and checks
   * @throws IllegalArgumentException names the key, its value, and what it may be
   */
  public static Settings of(Map<String, String> conf, Collection<String> others) {
    Map<String, String> values = new HashMap<>();
    Set<String> known = new TreeSet<>(others);
    for (Key key : KEYS) {
      known.add(key.name());
      values.put(key.name(), key.unset());
    }
    for (Map.Entry<String, String> entry : new TreeMap<>(conf).entrySet()) {
      if (entry.getKey().startsWith(PREFIX)) {
        String name = entry.getKey().substring(PREFIX.length());
        if (!known.contains(name)) {
          throw new IllegalArgumentException(
              entry.getKey() + " is not a setting of the bridge" + suggestion(name, known));
        }
        values.put(name, entry.getValue().strip());
      }
    }
    String target = values.get("target");
    if (target == null) {
      throw new IllegalArgumentException(
          PREFIX + "target is not set: say where the service listens, such as localhost:7170");
    }
    Settings settings =
        new Settings(
            read(values, "target", "host:port", Settings::checkedTarget),
            read(values, "pool", "the name of a pool of the service", Settings::checkedName),
            values.get("user"),
            read(values, "weight", "a number from 0.001 to 1000000", Settings::checkedWeight),
            read(values, "defaultUser", "1 to 128 bytes", Settings::checkedName),
            read(values, "userSources", "a list of thrift, connect, property", Settings::sources),
            read(values, "gate", "none or leases", text -> constant(Gate.class, text)),
            read(values, "staleAfter", "a time such as 5s, 100ms to 1h", text -> millis(text, 100)),
            read(values, "rpcTimeout", "a time such as 2s, 10ms to 1h", text -> millis(text, 10)),
            values.get("tls.ca"),
            values.get("tls.certificate"),
            values.get("tls.key"));
    settings.checkTls();
    return settings;
  }

  private void checkTls() {
    if (tlsCertificate.isEmpty() != tlsKey.isEmpty()) {
      throw new IllegalArgumentException(
          PREFIX + "tls.certificate and " + PREFIX + "tls.key go together: set both or none");
    }
    if (!tlsCertificate.isEmpty() && tlsCertificateAuthority.isEmpty()) {
      throw new IllegalArgumentException(
          PREFIX + "tls.certificate is set without " + PREFIX + "tls.ca, which switches TLS on");
    }
  }

  private static <T> T read(
      Map<String, String> values, String name, String may, Function<String, T> parse) {
    String value = values.get(name);
    try {
      return parse.apply(value);
    } catch (RuntimeException wrong) {
      throw new IllegalArgumentException(
          PREFIX + name + " is \"" + value + "\": set it to " + may, wrong);
    }
  }

  private static String checkedTarget(String text) {
    Matcher match = TARGET.matcher(text);
    if (!match.matches()
        || Integer.parseInt(match.group(2)) > 65_535
        || match.group(2).matches("0+")) {
      throw new IllegalArgumentException(text);
    }
    return text;
  }

  private static String checkedName(String text) {
    int bytes = text.getBytes(StandardCharsets.UTF_8).length;
    if (bytes < 1 || bytes > 128) {
      throw new IllegalArgumentException(text);
    }
    return text;
  }

  private static OptionalDouble checkedWeight(String text) {
    return text.isEmpty() ? OptionalDouble.empty() : OptionalDouble.of(weight(text).orElseThrow());
  }

  private static List<UserSource> sources(String text) {
    List<UserSource> sources = new ArrayList<>();
    for (String name : text.isEmpty() ? new String[0] : text.split(",", -1)) {
      UserSource source = constant(UserSource.class, name.strip());
      if (sources.contains(source)) {
        throw new IllegalArgumentException(name + " twice");
      }
      sources.add(source);
    }
    return List.copyOf(sources);
  }

  private static <E extends Enum<E>> E constant(Class<E> type, String text) {
    return Enum.valueOf(type, text.toUpperCase(Locale.ROOT));
  }

  private static long millis(String text, long atLeast) {
    Matcher match = TIME.matcher(text);
    if (!match.matches()) {
      throw new IllegalArgumentException(text);
    }
    long unit =
        switch (match.group(2) == null ? "ms" : match.group(2)) {
          case "s" -> 1_000;
          case "m", "min" -> 60_000;
          case "h" -> 3_600_000;
          default -> 1;
        };
    long millis = Long.parseLong(match.group(1)) * unit;
    if (millis < atLeast || millis > MAX_MILLIS) {
      throw new IllegalArgumentException(text);
    }
    return millis;
  }

  /**
   * The weight that a text asks for; empty for null and for what is no weight. Clients set local
   * properties at will, and none of them may fail a job.
   */
  public static OptionalDouble weight(String text) {
    try {
      double weight = text == null ? Double.NaN : Double.parseDouble(text.strip());
      boolean usable = weight >= MIN_WEIGHT && weight <= MAX_WEIGHT;
      return usable ? OptionalDouble.of(weight) : OptionalDouble.empty();
    } catch (NumberFormatException wrong) {
      return OptionalDouble.empty();
    }
  }

  private static String suggestion(String name, Collection<String> known) {
    return known.stream()
        .min(Comparator.comparingInt(other -> distance(name, other)))
        .filter(nearest -> distance(name, nearest) <= Math.max(2, name.length() / 3))
        .map(nearest -> "; did you mean " + PREFIX + nearest + "?")
        .orElse("; there are " + String.join(", ", known));
  }

  /** Levenshtein distance without regard to case. */
  private static int distance(String a, String b) {
    String left = a.toLowerCase(Locale.ROOT);
    String right = b.toLowerCase(Locale.ROOT);
    int[] row = new int[right.length() + 1];
    Arrays.setAll(row, i -> i);
    for (int i = 1; i <= left.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= right.length(); j++) {
        int changed = diagonal + (left.charAt(i - 1) == right.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(changed, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[right.length()];
  }
}
