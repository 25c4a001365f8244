package io.uwfq.spark;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.security.CodeSource;
import java.util.Optional;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The Spark and the Scala that this jar was built for, by the name that the build gave it.
 *
 * <p>A jar for others does start. It fails later, here and there: method by method, whatever was
 * compiled against other classes. That is caught wherever it happens, so that Spark goes on, and
 * what is left of the bridge can hardly be told.
 *
 * @param line what versions of Spark begin with, such as {@code 3.5} or {@code 4}
 * @param scala likewise of Scala, such as {@code 2.13}
 */
record BuiltFor(String line, String scala) {
  private static final String BUILD = "built-for.properties";

  private static final Pattern NAME =
      Pattern.compile("uwfq-spark-(?<line>[0-9.]+)_(?<scala>[0-9.]+)");

  /** What the build has left in the jar; empty: nothing, so that nothing is known. */
  static Optional<BuiltFor> thisJar() {
    Properties build = new Properties();
    try (InputStream left = BuiltFor.class.getResourceAsStream(BUILD)) {
      if (left != null) {
        build.load(left);
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return named(build.getProperty("jar", ""));
  }

  /** What a jar of this name, without its version, is built for; empty: it is none of ours. */
  static Optional<BuiltFor> named(String name) {
    Matcher matcher = NAME.matcher(name);
    return matcher.matches()
        ? Optional.of(new BuiltFor(matcher.group("line"), matcher.group("scala")))
        : Optional.empty();
  }

  /**
   * Returns if the jar fits.
   *
   * @throws IllegalStateException names the jar, what runs, and what to do
   */
  void check(String sparkVersion, String scalaVersion) {
    if (!begins(sparkVersion, line) || !begins(scalaVersion, scala)) {
      throw new IllegalStateException(
          String.format(
              "UWFQ: the jar %s is built for Spark %s with Scala %s, and this is Spark %s with Scala"
                  + " %s: take the jar whose path `uwfq spark jar --spark-home DIR` prints, DIR being"
                  + " where this Spark is installed",
              where(), line.equals("4") ? "4.x" : line, scala, sparkVersion, scalaVersion));
    }
  }

  private static boolean begins(String version, String line) {
    return version.startsWith(line + ".");
  }

  private static String where() {
    CodeSource source = BuiltFor.class.getProtectionDomain().getCodeSource();
    return source == null || source.getLocation() == null
        ? "of the bridge"
        // A URL spells a space.
        : source.getLocation().getPath().replace("%20", " ");
  }
}
