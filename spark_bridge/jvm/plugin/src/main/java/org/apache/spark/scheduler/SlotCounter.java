package org.apache.spark.scheduler;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.IntSupplier;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.TaskResourceRequest;
import scala.Option;

/**
 * Counts the application's slots: what a task of the default resource profile takes is one slot,
 * and tasks of other profiles take one or several.
 */
public final class SlotCounter implements IntSupplier {
  private final SparkContext spark;
  private final double cpusPerSlot;

  /** With static allocation all profiles share the executors of the default one. */
  private final boolean executorsPerProfile;

  private final Map<Integer, ResourceProfile> profiles = new ConcurrentHashMap<>();

  public SlotCounter(SparkContext spark) {
    SparkConf conf = spark.conf();
    this.spark = spark;
    this.cpusPerSlot = Math.max(1e-6, conf.getDouble("spark.task.cpus", 1));
    this.executorsPerProfile = conf.getBoolean("spark.dynamicAllocation.enabled", false);
    addProfile(spark.resourceProfileManager().defaultResourceProfile());
  }

  /** From now on executors of this profile count too. */
  public void addProfile(ResourceProfile profile) {
    if (profiles.isEmpty() || executorsPerProfile) {
      profiles.put(profile.id(), profile);
    }
  }

  /** The slots now. Asks the scheduler's backend, which looks at each executor under its lock. */
  @Override
  public int getAsInt() {
    SchedulerBackend backend = ((TaskSchedulerImpl) spark.taskScheduler()).backend();
    int slots = 0;
    for (ResourceProfile profile : profiles.values()) {
      slots += backend.maxNumConcurrentTasks(profile) * slotsPerTask(profile);
    }
    return slots;
  }

  /** Slots that a task of this profile takes; at least 1. */
  int slotsPerTask(int profileId) {
    return slotsPerTask(spark.resourceProfileManager().resourceProfileFromId(profileId));
  }

  private int slotsPerTask(ResourceProfile profile) {
    Option<TaskResourceRequest> cpus = profile.taskResources().get("cpus");
    return cpus.isEmpty() ? 1 : (int) Math.max(1, Math.ceil(cpus.get().amount() / cpusPerSlot));
  }
}
