package io.uwfq.spark;

import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.CurrentUserContext$;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * Notes who is logged in at the Thrift server, for the jobs of the statement that is analyzed.
 *
 * <p>Spark calls it at the end of each analysis, on the thread that runs the statement. Only there
 * the server tells whose that is. Checks nothing, and changes nothing in the plan.
 */
final class NoteThriftUser extends AbstractFunction1<LogicalPlan, BoxedUnit> {
  private final SparkContext context;

  NoteThriftUser(SparkSession session) {
    context = session.sparkContext();
  }

  /** Without a user (it is no Thrift server) there is nothing to note, and an old note goes. */
  @Override
  public BoxedUnit apply(LogicalPlan plan) {
    String user = CurrentUserContext$.MODULE$.CURRENT_USER().get();
    if (user != null || context.getLocalProperty(Users.THRIFT_USER_PROPERTY) != null) {
      context.setLocalProperty(Users.THRIFT_USER_PROPERTY, user);
    }
    return BoxedUnit.UNIT;
  }
}
