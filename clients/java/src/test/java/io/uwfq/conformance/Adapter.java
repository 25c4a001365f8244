package io.uwfq.conformance;

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.MessageOrBuilder;
import com.google.protobuf.util.JsonFormat;
import io.uwfq.client.Client;
import io.uwfq.client.UwfqException;
import io.uwfq.v1.Job;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/**
 * The adapter of clients/conformance/README.md: requests in lines of JSON on its standard input,
 * each passed to the client's public method, answers in lines of JSON on its standard output.
 */
public final class Adapter {
  private final String target;
  private final Client client;
  private final PrintStream out;
  private final ExecutorService requests = Executors.newCachedThreadPool();
  private final Map<String, ScriptedWorker> workers = new ConcurrentHashMap<>();

  private Adapter(String target, PrintStream out) {
    this.target = target;
    this.client = Client.connect(target);
    this.out = out;
  }

  /**
   * Serves until the end of the standard input.
   *
   * @param args {@code --target HOST:PORT}
   * @throws IOException if the input cannot be read
   */
  public static void main(String[] args) throws IOException {
    if (args.length != 2 || !args[0].equals("--target")) {
      System.err.println("usage: run --target HOST:PORT");
      System.exit(2);
    }
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    new Adapter(args[1], out).serve();
    System.exit(0);
  }

  private void serve() throws IOException {
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    String line;
    while ((line = in.readLine()) != null) {
      JsonObject request = JsonParser.parseString(line).getAsJsonObject();
      requests.execute(() -> answer(request));
    }
    workers.values().parallelStream().forEach(worker -> worker.stop(Duration.ZERO));
    client.close();
  }

  private void answer(JsonObject request) {
    JsonObject answer = new JsonObject();
    answer.add("id", request.get("id"));
    try {
      answer.add("ok", perform(request));
    } catch (UwfqException refusal) {
      answer.add("error", describe(refusal));
    } catch (TimeoutException late) {
      answer.add("error", describe("DEADLINE_EXCEEDED", late.getMessage()));
    } catch (Throwable defect) { // Whatever it is: the runner waits for an answer.
      defect.printStackTrace();
      answer.add("error", describe("UNKNOWN", defect.toString()));
    }
    synchronized (out) {
      out.println(answer);
    }
  }

  private JsonElement perform(JsonObject request) throws Exception {
    return switch (string(request, "do")) {
      case "call" -> {
        UnaryMethod<?, ?> method = UnaryMethod.named(string(request, "method"));
        Client hasty = client.withTimeout(seconds(request, "timeout_seconds"));
        yield json(method.call(hasty, request.get("request").toString()));
      }
      case "watch" -> watch(string(request, "job_id"), seconds(request, "timeout_seconds"));
      case "wait" -> {
        Job job = client.waitFor(string(request, "job_id"), seconds(request, "timeout_seconds"));
        yield object("job", json(job));
      }
      case "worker.start" -> {
        ScriptedWorker worker = new ScriptedWorker(target, request);
        workers.put(string(request, "worker"), worker);
        worker.start();
        yield new JsonObject();
      }
      case "worker.running" -> {
        worker(request)
            .awaitRunning(
                string(request, "kind"),
                request.get("count").getAsInt(),
                seconds(request, "timeout_seconds"));
        yield new JsonObject();
      }
      case "worker.release" -> {
        worker(request).release(string(request, "kind"));
        yield new JsonObject();
      }
      case "worker.runs" -> object("runs", new Gson().toJsonTree(worker(request).runs()));
      case "worker.stop" -> {
        ScriptedWorker worker = worker(request);
        worker.stop(isNull(request, "grace_seconds") ? null : seconds(request, "grace_seconds"));
        yield object("runs", new Gson().toJsonTree(worker.runs()));
      }
      default -> throw new IllegalArgumentException("no such request: " + request);
    };
  }

  private JsonObject watch(String jobId, Duration timeout) throws InvalidProtocolBufferException {
    List<Job> seen;
    try (Stream<Job> progress = client.watch(jobId, timeout)) {
      seen = progress.toList();
    }
    List<String> states = seen.stream().map(job -> job.getState().name()).distinct().toList();
    JsonObject answer = object("states", new Gson().toJsonTree(states));
    answer.add("job", json(seen.get(seen.size() - 1)));
    return answer;
  }

  private ScriptedWorker worker(JsonObject request) {
    return workers.get(string(request, "worker"));
  }

  // ----------------------------------------------------------------------------------------- JSON

  private static JsonObject describe(UwfqException refusal) {
    JsonObject error = describe(refusal.code().name(), refusal.description());
    refusal
        .fieldViolations()
        .forEach(
            violation ->
                error
                    .getAsJsonArray("field_violations")
                    .add(
                        new Gson()
                            .toJsonTree(
                                Map.of(
                                    "field", violation.field(),
                                    "description", violation.description()))));
    refusal
        .retryAfter()
        .ifPresent(wait -> error.addProperty("retry_after_seconds", wait.toNanos() / 1e9));
    refusal.reason().ifPresent(reason -> error.addProperty("reason", reason));
    refusal
        .resource()
        .ifPresent(
            resource ->
                error.add(
                    "resource",
                    new Gson()
                        .toJsonTree(Map.of("type", resource.type(), "name", resource.name()))));
    return error;
  }

  private static JsonObject describe(String code, String message) {
    JsonObject error = new JsonObject();
    error.addProperty("code", code);
    error.addProperty("message", message);
    error.add("field_violations", new JsonArray());
    error.add("retry_after_seconds", JsonNull.INSTANCE);
    error.add("reason", JsonNull.INSTANCE);
    error.add("resource", JsonNull.INSTANCE);
    return error;
  }

  private static JsonElement json(MessageOrBuilder message) throws InvalidProtocolBufferException {
    return JsonParser.parseString(JsonFormat.printer().preservingProtoFieldNames().print(message));
  }

  private static JsonObject object(String name, JsonElement value) {
    JsonObject object = new JsonObject();
    object.add(name, value);
    return object;
  }

  static boolean isNull(JsonObject object, String name) {
    return !object.has(name) || object.get(name).isJsonNull();
  }

  static String string(JsonObject object, String name) {
    return object.get(name).getAsString();
  }

  static Duration seconds(JsonObject object, String name) {
    return Duration.ofNanos((long) (object.get(name).getAsDouble() * 1e9));
  }
}
