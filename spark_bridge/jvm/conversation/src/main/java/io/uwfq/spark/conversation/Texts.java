package io.uwfq.spark.conversation;

import java.nio.charset.StandardCharsets;

/** Makes texts of anybody's fit for a message. */
public final class Texts {
  private Texts() {}

  /**
   * The beginning of a text: no more than so many characters, each of them whole. Halves of
   * surrogate pairs become question marks; Protobuf would do the same, and log a stack trace each
   * time.
   */
  public static String cut(String text, int mostCharacters) {
    String kept = text;
    if (text.length() > mostCharacters) {
      boolean inPair = Character.isHighSurrogate(text.charAt(mostCharacters - 1));
      kept = text.substring(0, inPair ? mostCharacters - 1 : mostCharacters);
    }
    return new String(kept.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
  }
}
