package io.uwfq.spark;

import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.CurrentUserContext$;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.internal.SQLConf;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * Notes on the thread of a query who is logged in at the Thrift or the Connect server, and whether
 * the session has set what Spark itself tells of the query.
 *
 * <p>Spark calls it at the end of each analysis, on the thread that runs the statement. Only there
 * the Thrift server tells whose that is. A Connect server's tag is as Spark has set it until the
 * query runs: from then on a setting of the same name, which any client can make, hides it. What
 * was analyzed before (Connect keeps plans) is not analyzed again, so Spark calls it once more when
 * the query is planned. Checks nothing, and changes nothing in a plan.
 *
 * <p>Never throws: an error here would be one of every query.
 */
final class NoteUser {
  private static final Logger log = LoggerFactory.getLogger(NoteUser.class);
  private static final AtomicBoolean errorLogged = new AtomicBoolean();

  private static final String EXECUTION = "spark.sql.execution.id";

  private final SparkContext context;

  NoteUser(SparkContext context) {
    this.context = context;
  }

  /** To be called at the end of each analysis. */
  static AbstractFunction1<LogicalPlan, BoxedUnit> whenAnalyzed(SparkSession session) {
    NoteUser notes = new NoteUser(session.sparkContext());
    return new AbstractFunction1<>() {
      @Override
      public BoxedUnit apply(LogicalPlan plan) {
        notes.take();
        return BoxedUnit.UNIT;
      }
    };
  }

  /** To be called when a physical plan is made. */
  static Rule<SparkPlan> whenPlanned(SparkSession session) {
    NoteUser notes = new NoteUser(session.sparkContext());
    return new Rule<>() {
      @Override
      public SparkPlan apply(SparkPlan plan) {
        notes.take();
        return plan;
      }
    };
  }

  void take() {
    try {
      noteThriftUser();
      noteConnectUser();
      noteSetRoot();
    } catch (Exception | LinkageError e) {
      if (errorLogged.compareAndSet(false, true)) {
        log.warn("UWFQ cannot note whose a query is; events and properties tell. Said once.", e);
      }
    }
  }

  /** Without a user (it is no Thrift server) there is nothing to note, and an old note goes. */
  private void noteThriftUser() {
    note(Users.THRIFT_USER_PROPERTY, CurrentUserContext$.MODULE$.CURRENT_USER().get());
  }

  private void noteConnectUser() {
    if (context.getLocalProperty(EXECUTION) == null) {
      note(Users.CONNECT_USER_PROPERTY, taggedUser());
    } else if (context.getLocalProperty(Users.CONNECT_USER_PROPERTY) == null) {
      String set = SQLConf.get().getConfString(Users.JOB_TAGS, null);
      if (set == null) {
        note(Users.CONNECT_USER_PROPERTY, taggedUser());
      } else if (!Objects.equals(set, context.conf().get(Users.JOB_TAGS, null))) {
        note(Users.CONNECT_USER_PROPERTY, Users.UNKNOWN);
      }
    }
  }

  /** While a query runs, each setting of its session hides the local property of the same name. */
  private void noteSetRoot() {
    note(
        JobTracker.ROOT_IS_SET_PROPERTY,
        SQLConf.get().getConfString(JobTracker.ROOT_EXECUTION_PROPERTY, null));
  }

  /** Null: no client of a Connect server, or one without a name. */
  private String taggedUser() {
    return ConnectTags.user(context.getLocalProperty(Users.JOB_TAGS))
        .filter(name -> !name.isBlank())
        .orElse(null);
  }

  private void note(String property, String value) {
    if (value != null || context.getLocalProperty(property) != null) {
      context.setLocalProperty(property, value);
    }
  }
}
