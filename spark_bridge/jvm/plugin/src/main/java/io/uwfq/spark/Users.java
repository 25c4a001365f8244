package io.uwfq.spark;

import io.uwfq.spark.conversation.Settings;
import io.uwfq.spark.conversation.Settings.UserSource;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.stream.Stream;

/**
 * Says whose a job is, from the properties that Spark carries with it.
 *
 * <p>The sources are asked in the configured order, and the first that knows a user wins. In the
 * order that is set if nothing else is, those that someone has authenticated come first, so that a
 * client of the Thrift or the Connect server cannot pass for somebody else with a {@code SET}.
 *
 * <p>Of the last source, what the submitter says, the nearest counts: the thread's local property
 * {@code uwfq.user}, then {@code spark.uwfq.user}, then the configuration of the application. Spark
 * puts the settings of a session whose names begin with "spark" over the local properties of the
 * same names while it runs a query; so the property in the middle is the session's for queries, and
 * the thread's for jobs of RDDs, which have no session.
 *
 * <p>With {@link UwfqExtensions} loaded, the user of either server is in a property that no client
 * can set.
 *
 * <p>Without it, the user of the Thrift server is known by events only, which may come a moment
 * after the job: {@link #resolve} is empty for that moment. They name the statement's job group,
 * and a client that has changed that with a {@code SET} gets the default user, not the one that it
 * would like to be. The user of the Connect server is known by the job's tags only, which a client
 * can forge with a {@code SET}. With the extension they count for jobs that come before any query
 * of theirs, such as those that look for the schema of files.
 *
 * <p>Safe from any thread.
 */
public final class Users {
  private static final String USER = "user";

  /** Begins the names of local properties that no setting of a session hides. */
  private static final String THREAD_PREFIX = "uwfq.";

  /**
   * Local property that only {@link NoteUser} sets. Settings of a session become local properties
   * if their names begin with "spark": this one does not, so that no client can set it.
   */
  static final String THRIFT_USER_PROPERTY = "uwfq.thriftUser";

  /** Likewise for the user of a Connect server. */
  static final String CONNECT_USER_PROPERTY = "uwfq.connectUser";

  /** Noted in a user's place: the job's tags are a client's, and nobody knows whose it is. */
  static final String UNKNOWN = "";

  static final String JOB_TAGS = "spark.job.tags";
  private static final String JOB_GROUP = "spark.jobGroup.id";

  /** Statements that are remembered, should the events that end them be lost. */
  private static final int MAX_STATEMENTS = 100_000;

  /**
   * A user.
   *
   * @param source how the bridge knows; empty: nobody said, so it is the default user
   */
  public record User(String name, Optional<UserSource> source) {}

  private final List<UserSource> sources;
  private final String configuredUser;
  private final User defaultUser;
  private final Map<String, String> thriftUserByStatement =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
          return size() > MAX_STATEMENTS;
        }
      };
  private volatile boolean thriftServerSeen;

  /**
   * @param sources which to ask, the first to know wins
   * @param configuredUser whom the submitter of a job means that says nothing; empty: nobody
   * @param defaultUser whose jobs are when none knows; not blank
   */
  public Users(List<UserSource> sources, String configuredUser, String defaultUser) {
    this.sources = List.copyOf(sources);
    this.configuredUser = configuredUser;
    this.defaultUser = new User(UserNames.fit(defaultUser), Optional.empty());
  }

  /**
   * Whose a job with these properties is; empty when the Thrift server may yet say.
   *
   * @param properties null: none
   */
  public Optional<User> resolve(Properties properties) {
    for (UserSource source : sources) {
      Optional<User> user = from(source, properties);
      if (user.isPresent()) {
        return user;
      }
      if (source == UserSource.THRIFT && isThriftStatement(properties)) {
        return Optional.empty();
      }
      if (source == UserSource.CONNECT && UNKNOWN.equals(get(properties, CONNECT_USER_PROPERTY))) {
        return Optional.of(defaultUser); // and not whom the client names elsewhere
      }
    }
    return Optional.of(defaultUser);
  }

  /** As {@link #resolve}, for when everything that can be known is. */
  public User resolveNow(Properties properties) {
    return resolve(properties).orElse(defaultUser);
  }

  /** A user has opened a session with the Thrift server: there is one. */
  void thriftSessionCreated() {
    thriftServerSeen = true;
  }

  /** The Thrift server runs a statement for a user; its jobs carry the group. */
  void thriftStatementStarted(String group, String user) {
    thriftServerSeen = true;
    synchronized (thriftUserByStatement) {
      thriftUserByStatement.put(group, user);
    }
  }

  /** The statement is over; no more jobs come from it. */
  void thriftStatementClosed(String group) {
    synchronized (thriftUserByStatement) {
      thriftUserByStatement.remove(group);
    }
  }

  private Optional<User> from(UserSource source, Properties properties) {
    String name =
        switch (source) {
          case THRIFT -> thriftUser(properties);
          case CONNECT -> connectUser(properties);
          case PROPERTY -> said(properties, USER).orElse(configuredUser);
        };
    String fit = UserNames.fit(name);
    return fit.isEmpty() ? Optional.empty() : Optional.of(new User(fit, Optional.of(source)));
  }

  private String thriftUser(Properties properties) {
    String noted = get(properties, THRIFT_USER_PROPERTY);
    String group = get(properties, JOB_GROUP);
    if (noted != null || group == null) {
      return noted;
    }
    synchronized (thriftUserByStatement) {
      return thriftUserByStatement.get(group);
    }
  }

  private static String connectUser(Properties properties) {
    String noted = get(properties, CONNECT_USER_PROPERTY);
    return noted != null ? noted : ConnectTags.user(get(properties, JOB_TAGS)).orElse(null);
  }

  /** In an application with a Thrift server, job groups are its statements. */
  private boolean isThriftStatement(Properties properties) {
    return thriftServerSeen && get(properties, JOB_GROUP) != null;
  }

  /**
   * What is said of a job by its thread or, if that says nothing, by its session.
   *
   * @param what the key behind {@code spark.uwfq.}
   */
  static Optional<String> said(Properties properties, String what) {
    return Stream.of(THREAD_PREFIX + what, Settings.PREFIX + what)
        .map(key -> get(properties, key))
        .filter(text -> text != null && !text.isBlank())
        .findFirst();
  }

  private static String get(Properties properties, String key) {
    return properties == null ? null : properties.getProperty(key);
  }
}
