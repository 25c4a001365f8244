package io.uwfq.spark;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads the user from the tags that a Spark Connect server gives its jobs.
 *
 * <p>A tag is {@code SparkConnect_OperationTag_User_<user>_Session_<uuid>_Operation_<uuid>}. Names
 * of users may hold underscores and even text that looks like the rest of a tag, so the two UUIDs
 * at its end are what it is read from.
 */
final class ConnectTags {
  private static final String UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";

  private static final Pattern TAG =
      Pattern.compile(
          "SparkConnect_OperationTag_User_(.*)_Session_" + UUID + "_Operation_" + UUID,
          Pattern.DOTALL);

  private ConnectTags() {}

  /** The user that the tags name; empty if no tag or more than one user is in them. */
  static Optional<String> user(String commaSeparatedTags) {
    if (commaSeparatedTags == null || !commaSeparatedTags.contains("SparkConnect_OperationTag_")) {
      return Optional.empty();
    }
    String user = null;
    for (String tag : commaSeparatedTags.split(",")) {
      Matcher matcher = TAG.matcher(tag);
      if (matcher.matches()) {
        if (user != null && !user.equals(matcher.group(1))) {
          return Optional
              .empty(); // Connect gives one tag: the rest is made up, and who can tell which
        }
        user = matcher.group(1);
      }
    }
    return Optional.ofNullable(user);
  }
}
