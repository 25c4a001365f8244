package io.uwfq.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.ResourceInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.io.Serializable;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The service has refused a call, or could not be reached.
 *
 * <p>A refusal arrives as a gRPC status with {@code google.rpc} details. Here they are values, so
 * that nobody parses text:
 *
 * <pre>{@code
 * try {
 *   client.submit(request);
 * } catch (UwfqException refusal) {
 *   switch (refusal.code()) {
 *     case INVALID_ARGUMENT -> refusal.fieldViolations().forEach(System.err::println);
 *     case RESOURCE_EXHAUSTED -> retryIn(refusal.retryAfter().orElse(Duration.ofSeconds(1)));
 *     default -> throw refusal;
 *   }
 * }
 * }</pre>
 */
public class UwfqException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The status of the call. */
  private final Status.Code code;

  /** The service's sentence. */
  private final String description;

  // Arrays and nullable values, as exceptions are to be serializable and Optional is not.
  private final FieldViolation[] fieldViolations;
  private final Duration retryAfter;
  private final String reason;
  private final Resource resource;

  /**
   * One field of a request that the service has refused.
   *
   * @param field as the protocol names it, e.g. {@code stages[2].after}
   * @param description what is wrong with it, and what would be right
   */
  public record FieldViolation(String field, String description) implements Serializable {
    @Override
    public String toString() {
      return field + ": " + description;
    }
  }

  /**
   * What a refusal is about.
   *
   * @param type {@code job}, {@code pool}, {@code stage} ...
   * @param name its name
   */
  public record Resource(String type, String name) implements Serializable {}

  UwfqException(Status.Code code, String description, Throwable cause) {
    this(code, description, new Details(com.google.rpc.Status.getDefaultInstance()), cause);
  }

  private UwfqException(Status.Code code, String description, Details details, Throwable cause) {
    super(readable(code, description, details.fieldViolations()), cause);
    this.code = code;
    this.description = description;
    this.fieldViolations = details.fieldViolations().toArray(FieldViolation[]::new);
    this.retryAfter = details.retryAfter();
    this.reason = details.reason();
    this.resource = details.resource();
  }

  /** What a gRPC call has thrown, with its details unpacked. */
  static UwfqException from(Throwable error) {
    Status status = statusOf(error);
    com.google.rpc.Status packed = StatusProto.fromThrowable(error);
    Details details =
        new Details(packed == null ? com.google.rpc.Status.getDefaultInstance() : packed);
    return new UwfqException(status.getCode(), sentence(status), details, error);
  }

  /**
   * What was said, with what has caused it: of its transport gRPC says no more than "io exception",
   * or all stack traces.
   */
  private static String sentence(Status status) {
    Throwable cause = status.getCause();
    while (cause != null && cause.getCause() != null) {
      cause = cause.getCause();
    }
    if (status.getDescription() == null) {
      // An exception of the transport, or none: then the code is all there is to say.
      return cause == null ? "no details" : cause.toString();
    }
    String said =
        status
            .getDescription()
            .replaceAll("\\s*Channel Pipeline: \\[[^\\]]*\\]", "")
            .replaceAll("\n\t(at|\\.\\.\\.) [^\n]*", "")
            .replace("\nCaused by: ", "; caused by: ")
            .replace("\n}", "}")
            // How gRPC puts it that a connection was taken, and closed before a word was said.
            .replaceAll(
                "(?s)^(.*Last Pick Failure=.*description=Network closed for unknown reason.*)$",
                "$1; does the service want TLS, or a certificate of the client?");
    String why = cause == null ? null : cause.getMessage();
    return why == null || said.contains(why) ? said : said + ": " + why;
  }

  /** The status, which is the same however gRPC's transport says that the connection is lost. */
  private static Status statusOf(Throwable error) {
    Status status = Status.fromThrowable(error);
    return isLost(status)
        ? Status.UNAVAILABLE.withDescription(status.getDescription()).withCause(status.getCause())
        : status;
  }

  private static boolean isLost(Status status) {
    return switch (status.getCode()) {
      // Just as the call began.
      case UNKNOWN -> status.getCause() instanceof ClosedChannelException;
      // The service has dropped it, as its pings were not answered: this machine was asleep, say.
      case RESOURCE_EXHAUSTED ->
          String.valueOf(status.getDescription()).contains("ENHANCE_YOUR_CALM");
      default -> false;
    };
  }

  /**
   * The canonical code of the status.
   *
   * @return never {@code OK}
   */
  public Status.Code code() {
    return code;
  }

  /**
   * The service's sentence for people. {@link #getMessage} puts the code before it.
   *
   * @return never null
   */
  public String description() {
    return description;
  }

  /**
   * The fields that were refused, with the remedy.
   *
   * @return empty unless the code is {@code INVALID_ARGUMENT}
   */
  public List<FieldViolation> fieldViolations() {
    return List.of(fieldViolations);
  }

  /**
   * When the service invites to try again.
   *
   * @return empty if it does not say
   */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  /**
   * A stable word for programs, e.g. {@code JOB_NOT_OPEN}.
   *
   * @return empty if there is none
   */
  public Optional<String> reason() {
    return Optional.ofNullable(reason);
  }

  /**
   * What it is about: the job that does not exist, the one whose name is taken.
   *
   * @return empty if the service does not say
   */
  public Optional<Resource> resource() {
    return Optional.ofNullable(resource);
  }

  /** One line with everything that a person needs. */
  private static String readable(
      Status.Code code, String description, List<FieldViolation> violations) {
    String fields =
        violations.stream().map(FieldViolation::toString).collect(Collectors.joining("; "));
    // The service's sentence usually repeats the first violation.
    String more = description.contains(fields) ? "" : " (" + fields + ")";
    return code + ": " + description + more;
  }

  /** The typed details inside a {@code google.rpc.Status}. */
  private record Details(com.google.rpc.Status status) {
    List<FieldViolation> fieldViolations() {
      return find(BadRequest.class).stream()
          .flatMap(detail -> detail.getFieldViolationsList().stream())
          .map(each -> new FieldViolation(each.getField(), each.getDescription()))
          .toList();
    }

    Duration retryAfter() {
      return find(RetryInfo.class)
          .map(RetryInfo::getRetryDelay)
          .map(delay -> Duration.ofSeconds(delay.getSeconds(), delay.getNanos()))
          .orElse(null);
    }

    String reason() {
      return find(ErrorInfo.class).map(ErrorInfo::getReason).orElse(null);
    }

    Resource resource() {
      return find(ResourceInfo.class)
          .map(each -> new Resource(each.getResourceType(), each.getResourceName()))
          .orElse(null);
    }

    private <T extends Message> Optional<T> find(Class<T> type) {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(type)) {
          try {
            return Optional.of(detail.unpack(type));
          } catch (InvalidProtocolBufferException broken) {
            return Optional.empty(); // Not from our service: the code and the text must do.
          }
        }
      }
      return Optional.empty();
    }
  }
}
