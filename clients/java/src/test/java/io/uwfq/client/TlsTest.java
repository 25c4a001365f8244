package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Mutual TLS with {@code uwfq serve}, with one self-signed certificate for both sides. */
@Timeout(120)
class TlsTest {
  private static final char[] PASSWORD = "changeit".toCharArray();

  @TempDir Path directory;

  @Test
  void bothSidesShowTheirCertificates() throws Exception {
    Path certificate = directory.resolve("certificate.pem");
    Path key = directory.resolve("key.pem");
    writeIdentity(certificate, key);
    String pem = certificate.toString();
    try (RealService service =
        RealService.start(
            directory, "--tls-cert", pem, "--tls-key", key.toString(), "--tls-client-ca", pem)) {
      Endpoint endpoint =
          Endpoint.of(service.target())
              .withKeepAlive(Duration.ofSeconds(20), Duration.ofSeconds(5))
              .withAuthority("uwfq.example");
      TlsChannelCredentials.Builder tls =
          TlsChannelCredentials.newBuilder().trustManager(certificate.toFile());
      try (Client client =
          Client.connect(
              endpoint.withCredentials(
                  tls.keyManager(certificate.toFile(), key.toFile()).build()))) {
        assertEquals(1, client.listPools().getPoolsCount());
      }
      Endpoint misnamed = endpoint.withCredentials(tls.build()).withAuthority("other.example");
      assertDistrust(
          endpoint.withCredentials(TlsChannelCredentials.create()), "certification path");
      assertDistrust(misnamed, "other.example");
    }
  }

  @Test
  void aServiceWithoutTlsIsToldAtOnce() throws Exception {
    try (RealService service = RealService.start(directory);
        Client plain = Client.connect(service.target())) {
      plain.listPools(); // Else it may not be there yet, and is waited for.
      Endpoint encrypted =
          Endpoint.of(service.target()).withCredentials(TlsChannelCredentials.create());
      assertDistrust(encrypted, "not an SSL/TLS record");
    }
  }

  /** No waiting would mend it, so nobody waits; within a minute, on a machine that is busy. */
  private static void assertDistrust(Endpoint endpoint, String why) throws Exception {
    try (Client client = Client.connect(endpoint)) {
      Client patient = client.withTimeout(Duration.ofHours(1));
      List<Executable> calls =
          List.of(
              patient::listPools,
              () -> client.waitFor("j"),
              () -> {
                throw assertThrows(
                        ExecutionException.class,
                        () -> patient.async().listPools().get(60, TimeUnit.SECONDS))
                    .getCause();
              });
      for (Executable call : calls) {
        UwfqException refusal = assertThrows(UwfqException.class, call);
        assertEquals(Status.Code.UNAVAILABLE, refusal.code());
        assertTrue(refusal.getMessage().contains(why), refusal::getMessage);
      }
    }
  }

  /** The JDK's keytool makes the pair; PEM is what everybody else reads. */
  private void writeIdentity(Path certificate, Path key)
      throws IOException, GeneralSecurityException, InterruptedException {
    Path store = directory.resolve("store.p12");
    Path log = directory.resolve("keytool.log");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "uwfq",
                "-keyalg",
                "EC",
                "-dname",
                "CN=uwfq.example",
                "-ext",
                "san=dns:uwfq.example",
                "-keystore",
                store.toString(),
                "-storepass",
                new String(PASSWORD))
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    assertEquals(0, keytool.waitFor(), () -> log + " says why");
    KeyStore identity = KeyStore.getInstance("PKCS12");
    try (InputStream stream = Files.newInputStream(store)) {
      identity.load(stream, PASSWORD);
    }
    Files.writeString(
        certificate, pem("CERTIFICATE", identity.getCertificate("uwfq").getEncoded()));
    Files.writeString(key, pem("PRIVATE KEY", identity.getKey("uwfq", PASSWORD).getEncoded()));
  }

  private static String pem(String type, byte[] content) {
    String body = Base64.getMimeEncoder().encodeToString(content);
    return "-----BEGIN " + type + "-----\n" + body + "\n-----END " + type + "-----\n";
  }
}
