package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TextsTest {
  /** Of four characters; one beyond the Basic Multilingual Plane counts as two, as in Java. */
  @ParameterizedTest
  @CsvSource({
    "'', ''",
    "abcd, abcd",
    "abcde, abcd",
    "ab\uD83D\uDE00, ab\uD83D\uDE00",
    "abc\uD83D\uDE00, abc",
    "\uD83D\uDE00\uD83D\uDE00\uD83D\uDE00, \uD83D\uDE00\uD83D\uDE00",
  })
  void theBeginningIsOfWholeCharacters(String text, String kept) {
    assertEquals(kept, Texts.cut(text, 4));
  }

  /** They have no UTF-8. */
  @ParameterizedTest
  @CsvSource({"0xD83D", "0xDE00"})
  void halvesOfPairsAreQuestionMarks(int half) {
    assertEquals("a?b", Texts.cut("a" + (char) half + "b", 4));
  }
}
