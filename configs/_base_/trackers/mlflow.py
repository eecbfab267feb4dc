# needs: pip install mlflow. Runs of all trainings in one folder, unless MLFLOW_TRACKING_URI names another
# store. Look: MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri work_dirs/mlruns
tracker_mlflow = dict(
    type='MLflowTracker',
    exp_name='mammograms',
    tracking_uri='{{$MLFLOW_TRACKING_URI:work_dirs/mlruns}}',
    artifact_suffix=('.py',),  # the config; logs name the images
)
