package io.uwfq.spark;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** Makes names of users fit for the service, which takes 1 to 128 bytes of UTF-8. */
final class UserNames {
  static final int MAX_BYTES = 128;

  /** "~" and 8 bytes of a hash, in hexadecimal: tells apart long names that begin alike. */
  private static final int HASH_BYTES = 17;

  private UserNames() {}

  /** The name as the service takes it; "" if there is none in it. Equal names stay equal. */
  static String fit(String name) {
    if (name == null || name.isBlank()) {
      return "";
    }
    // Encoding replaces halves of surrogate pairs, which no UTF-8 has.
    byte[] bytes = name.strip().getBytes(StandardCharsets.UTF_8);
    if (bytes.length <= MAX_BYTES) {
      return new String(bytes, StandardCharsets.UTF_8);
    }
    int end = MAX_BYTES - HASH_BYTES;
    while ((bytes[end] & 0xC0) == 0x80) { // inside a character
      end--;
    }
    return new String(bytes, 0, end, StandardCharsets.UTF_8) + "~" + hash(bytes);
  }

  private static String hash(byte[] bytes) {
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes);
      return HexFormat.of().toHexDigits(ByteBuffer.wrap(digest).getLong());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java runtime has SHA-256", e);
    }
  }
}
