package io.uwfq.spark;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A jar for another Spark, or another Scala, is recognised. */
class BuiltForTest {
  /** The build has left its name, which fits the Spark that the tests run with. */
  @Test
  void theBuildSaysWhatTheJarIsFor() {
    BuiltFor built = BuiltFor.thisJar().orElseThrow();
    built.check(
        org.apache.spark.package$.MODULE$.SPARK_VERSION(),
        scala.util.Properties.versionNumberString());
  }

  /** Vendors append to the version of Spark. */
  @Test
  void eachReleaseOfTheLineFits() {
    for (String version : List.of("3.5.0", "3.5.12", "3.5.1-amzn-0", "3.5.4.3.3.2.0-123")) {
      assertDoesNotThrow(() -> new BuiltFor("3.5", "2.12").check(version, "2.12.18"));
    }
    for (String version : List.of("4.0.0", "4.3.0", "4.10.1-SNAPSHOT")) {
      assertDoesNotThrow(() -> new BuiltFor("4", "2.13").check(version, "2.13.16"));
    }
  }

  /** The message says what is loaded, what runs, and how to find the one that fits. */
  @Test
  void othersAreRefusedByName() {
    assertEquals("", refusal("3.5", "2.12", "3.5.9", "2.12.18"));
    String wrongScala = refusal("3.5", "2.13", "3.5.9", "2.12.18");
    for (String part :
        List.of(
            "built for Spark 3.5 with Scala 2.13",
            "this is Spark 3.5.9 with Scala 2.12.18",
            "uwfq spark jar",
            "classes")) { // where the tests have it from
      assertTrue(wrongScala.contains(part), wrongScala);
    }
    assertTrue(refusal("4", "2.13", "3.5.9", "2.13.8").contains("built for Spark 4.x"));
    assertTrue(refusal("4", "2.13", "40.0.0", "2.13.8").contains("this is Spark 40.0.0"));
    assertTrue(refusal("3.5", "2.13", "3.50.0", "2.13.8").contains("this is Spark 3.50.0"));
  }

  /** Who builds a jar otherwise is not kept from using it. */
  @Test
  void ofAnotherNameNothingIsKnown() {
    assertEquals(Optional.empty(), BuiltFor.named("${project.artifactId}"));
    assertEquals(Optional.empty(), BuiltFor.named(""));
    assertEquals(Optional.of(new BuiltFor("3.5", "2.12")), BuiltFor.named("uwfq-spark-3.5_2.12"));
  }

  private static String refusal(String line, String scala, String spark, String runningScala) {
    BuiltFor built = new BuiltFor(line, scala);
    try {
      built.check(spark, runningScala);
      return "";
    } catch (IllegalStateException refused) {
      return refused.getMessage();
    }
  }
}
