package io.uwfq.spark;

import io.uwfq.spark.sql.MarkQuery;
import io.uwfq.spark.sql.SplitScans;
import io.uwfq.spark.sql.SplitShuffles;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.execution.ColumnarRule;
import org.apache.spark.sql.execution.SparkPlan;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * Cuts the scans and shuffles of each query as the service says: {@code
 * spark.sql.extensions=io.uwfq.spark.UwfqExtensions}.
 *
 * <p>Three rules work together. {@link MarkQuery} writes the query's signature into its file
 * relations while the logical plan is whole. {@link SplitScans} finds it there when a scan is about
 * to become tasks. {@link SplitShuffles} looks at each stage that adaptive execution has the map
 * output sizes of. All of them leave the plan alone while the plugin does not run. {@link NoteUser}
 * looks at no plan: it is called where the user of the Thrift or the Connect server is known.
 */
public final class UwfqExtensions extends AbstractFunction1<SparkSessionExtensions, BoxedUnit> {
  private static final Logger log = LoggerFactory.getLogger(UwfqExtensions.class);

  /** Never throws: a session without these rules is better than no session. */
  @Override
  public BoxedUnit apply(SparkSessionExtensions extensions) {
    try {
      extensions.injectCheckRule(function(session -> NoteUser.whenAnalyzed(session)));
      // Before the scans are cut: the service is told whose they are.
      extensions.injectColumnar(function(session -> beforeColumnar(NoteUser.whenPlanned(session))));
      extensions.injectPreCBORule(function(session -> new MarkQuery(session)));
      extensions.injectColumnar(function(session -> beforeColumnar(new SplitScans(session))));
      extensions.injectQueryStageOptimizerRule(function(session -> new SplitShuffles(session)));
    } catch (RuntimeException | LinkageError e) {
      log.warn("UWFQ cannot cut queries in this version of Spark; they stay as Spark cuts them", e);
    }
    return BoxedUnit.UNIT;
  }

  private static ColumnarRule beforeColumnar(Rule<SparkPlan> rule) {
    return new ColumnarRule() {
      @Override
      public Rule<SparkPlan> preColumnarTransitions() {
        return rule;
      }
    };
  }

  private static <A, B> AbstractFunction1<A, B> function(java.util.function.Function<A, B> body) {
    return new AbstractFunction1<>() {
      @Override
      public B apply(A argument) {
        return body.apply(argument);
      }
    };
  }
}
