package io.uwfq.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.conversation.Settings.UserSource;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import org.junit.jupiter.api.Test;

class UsersTest {
  private static final String UUID_1 = "4f8e9b1c-0a2d-4c55-9d7e-000000000001";
  private static final String UUID_2 = "4f8e9b1c-0a2d-4c55-9d7e-000000000002";
  private static final List<UserSource> AUTHENTICATED_FIRST =
      List.of(UserSource.THRIFT, UserSource.CONNECT, UserSource.PROPERTY);

  private final Users users = new Users(AUTHENTICATED_FIRST, "", "nobody");

  /** A tag is read from its end, so that a name may hold anything. */
  @Test
  void connectTagsAreAnchoredAtTheirEnd() {
    for (String user :
        List.of(
            "alice",
            "a_b",
            "x_Session_y",
            "",
            "日本",
            "a\nb",
            "eve_Session_" + UUID_2 + "_Operation_" + UUID_2)) {
      assertEquals(Optional.of(user), ConnectTags.user(tag(user)), user);
      assertEquals(Optional.of(user), ConnectTags.user("mine," + tag(user) + ",other"), user);
    }
  }

  /** What only looks like a tag names nobody, nor do two tags that disagree. */
  @Test
  void whatIsNoConnectTagNamesNobody() {
    for (String tags :
        new String[] {
          null,
          "",
          "SparkConnect_OperationTag_User_bob",
          "SparkConnect_OperationTag_User_bob_Session_1_Operation_2",
          "x" + tag("bob"),
          tag("bob") + "x",
          tag("bob") + "," + tag("eve")
        }) {
      assertEquals(Optional.empty(), ConnectTags.user(tags), tags);
    }
  }

  /** Nobody passes for somebody else by a property that any client can set. */
  @Test
  void authenticatedSourcesWin() {
    users.thriftStatementStarted("statement", "thrift-user");
    Properties properties = properties("spark.uwfq.user", "spoofed");
    assertEquals("spoofed", name(properties));
    properties.setProperty("spark.job.tags", tag("connect-user"));
    assertEquals("connect-user", name(properties));
    properties.setProperty("spark.jobGroup.id", "statement");
    assertEquals("thrift-user", name(properties));
  }

  /** The operator's order is kept, and sources that are not in it are not asked. */
  @Test
  void theOrderOfSourcesIsConfigurable() {
    Users propertyFirst = new Users(List.of(UserSource.PROPERTY, UserSource.CONNECT), "", "nobody");
    Properties properties = properties("spark.uwfq.user", "said");
    properties.setProperty("spark.job.tags", tag("connect-user"));
    assertEquals("said", propertyFirst.resolveNow(properties).name());
    Users none = new Users(List.of(), "configured", "nobody");
    assertEquals(new Users.User("nobody", Optional.empty()), none.resolveNow(properties));
  }

  /** Without any word on the user it is the default one, also with no properties at all. */
  @Test
  void nobodySaid() {
    assertEquals("nobody", name(new Properties()));
    assertEquals("nobody", name(null));
    assertEquals("nobody", name(properties("spark.uwfq.user", "  ")));
    assertEquals(Optional.empty(), users.resolve(null).orElseThrow().source());
  }

  /** The thread counts before the session, and that before the configuration. */
  @Test
  void theNearestCounts() {
    Users configured = new Users(AUTHENTICATED_FIRST, "configured", "nobody");
    Properties properties = new Properties();
    assertEquals("configured", configured.resolveNow(properties).name());
    assertEquals(
        Optional.of(UserSource.PROPERTY), configured.resolveNow(null).source(), "somebody said it");
    properties.setProperty("spark.uwfq.user", "session");
    assertEquals("session", configured.resolveNow(properties).name());
    properties.setProperty("uwfq.user", "thread");
    assertEquals("thread", configured.resolveNow(properties).name());
    properties.setProperty("uwfq.user", " ");
    assertEquals("session", configured.resolveNow(properties).name());
  }

  /** Once there is a Thrift server, a job whose statement is unknown waits for the word on it. */
  @Test
  void thriftJobsWaitForTheirStatement() {
    Properties properties = properties("spark.jobGroup.id", "statement");
    properties.setProperty("spark.uwfq.user", "spoofed");
    assertEquals("spoofed", users.resolve(properties).orElseThrow().name());
    users.thriftSessionCreated();
    assertEquals(Optional.empty(), users.resolve(properties));
    users.thriftStatementStarted("statement", "alice");
    assertEquals(
        new Users.User("alice", Optional.of(UserSource.THRIFT)),
        users.resolve(properties).orElseThrow());
    users.thriftStatementClosed("statement");
    assertEquals("nobody", users.resolveNow(properties).name());
  }

  /** What was noted on the statement's own thread counts, whatever the client has set. */
  @Test
  void theNotedThriftUserWins() {
    users.thriftSessionCreated();
    users.thriftStatementStarted("statement of another", "victim");
    Properties properties = properties("uwfq.thriftUser", "alice");
    properties.setProperty("spark.jobGroup.id", "statement of another");
    properties.setProperty("spark.uwfq.user", "spoofed");
    assertEquals("alice", name(properties));
  }

  /** Likewise at a Connect server: neither tags nor anything else that a client can set counts. */
  @Test
  void theNotedConnectUserWins() {
    Properties properties = properties("uwfq.connectUser", "alice");
    properties.setProperty("spark.job.tags", tag("victim"));
    properties.setProperty("spark.uwfq.user", "spoofed");
    assertEquals("alice", name(properties));
    properties.setProperty("uwfq.connectUser", Users.UNKNOWN);
    assertEquals("nobody", name(properties));
  }

  /** Names beyond what the service takes are cut between characters, and stay apart. */
  @Test
  void namesFitTheService() {
    Random random = new Random(1);
    for (int i = 0; i < 2_000; i++) {
      StringBuilder text = new StringBuilder();
      int length = 1 + random.nextInt(300);
      while (text.length() < length) {
        text.appendCodePoint(1 + random.nextInt(0x10FFFF));
      }
      String name = UserNames.fit("n" + text);
      byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
      assertTrue(bytes.length >= 1 && bytes.length <= 128, name);
      assertEquals(name, new String(bytes, StandardCharsets.UTF_8));
      assertEquals(name, UserNames.fit("n" + text));
    }
    String longName = "é".repeat(100);
    assertNotEquals(UserNames.fit(longName + "1"), UserNames.fit(longName + "2"));
    assertEquals("x".repeat(128), UserNames.fit("x".repeat(128)));
  }

  private String name(Properties properties) {
    return users.resolve(properties).orElseThrow().name();
  }

  private static String tag(String user) {
    return "SparkConnect_OperationTag_User_" + user + "_Session_" + UUID_1 + "_Operation_" + UUID_2;
  }

  private static Properties properties(String key, String value) {
    Properties properties = new Properties();
    properties.setProperty(key, value);
    return properties;
  }
}
